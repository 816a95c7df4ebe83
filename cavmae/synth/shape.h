// The outlines of the clip generator's shapes as signed distances, from which antialiased pictures follow.
// Pure functions; safe from any thread.
#pragma once

#include "cavmae/synth/scene.h"

namespace cavmae {

// The distance of the point (x to the right, y up) from the outline of a shape of about radius 1 around the
// origin; negative inside.
float shape_distance(ShapeKind kind, float x, float y);

// No shape reaches further from its centre.
constexpr float kShapeReach = 1.3f;

}  // namespace cavmae
