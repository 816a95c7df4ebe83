#include "cavmae/synth/shape.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace cavmae {
namespace {

// An edge of a polygon, prepared for measuring distances to it.
struct Edge {
  float x, y;            // where it starts
  float dx, dy;          // to where it ends
  float inverse_length;  // 1 / (dx^2 + dy^2)
};
using Polygon = std::vector<Edge>;

struct Point {
  double x, y;
};

Polygon make_polygon(const std::vector<Point>& points) {
  Polygon polygon;
  for (size_t i = 0; i < points.size(); ++i) {
    const Point a = points[i], b = points[(i + 1) % points.size()];
    const double dx = b.x - a.x, dy = b.y - a.y;
    polygon.push_back({static_cast<float>(a.x), static_cast<float>(a.y), static_cast<float>(dx),
                       static_cast<float>(dy), static_cast<float>(1.0 / (dx * dx + dy * dy))});
  }
  return polygon;
}

// `count` points around the origin beginning at the top, at `outer` and `inner` in turn.
Polygon make_star(int count, double outer, double inner) {
  std::vector<Point> points;
  for (int i = 0; i < count; ++i) {
    const double angle = std::numbers::pi * (0.5 + 2.0 * i / count);
    const double radius = i % 2 == 0 ? outer : inner;
    points.push_back({radius * std::cos(angle), radius * std::sin(angle)});
  }
  return make_polygon(points);
}

Polygon make_cross(double reach, double half_width) {
  const double r = reach, w = half_width;
  return make_polygon({{w, r},
                       {w, w},
                       {r, w},
                       {r, -w},
                       {w, -w},
                       {w, -r},
                       {-w, -r},
                       {-w, -w},
                       {-r, -w},
                       {-r, w},
                       {-w, w},
                       {-w, r}});
}

// The distance to the nearest edge; inside where a ray to the right meets an odd number of edges.
float polygon_distance(const Polygon& polygon, float x, float y) {
  float nearest = std::numeric_limits<float>::max();
  bool inside = false;
  for (const Edge& e : polygon) {
    const float px = x - e.x, py = y - e.y;
    const float along = std::clamp((px * e.dx + py * e.dy) * e.inverse_length, 0.0f, 1.0f);
    const float ox = px - along * e.dx, oy = py - along * e.dy;
    nearest = std::min(nearest, ox * ox + oy * oy);
    if ((e.y > y) != (e.y + e.dy > y) && px < e.dx * py / e.dy) inside = !inside;
  }
  return inside ? -std::sqrt(nearest) : std::sqrt(nearest);
}

float disc_distance(float x, float y, float radius) {
  return std::sqrt(x * x + y * y) - radius;
}

}  // namespace

float shape_distance(ShapeKind kind, float x, float y) {
  static const Polygon square = make_polygon({{-0.85, -0.85}, {0.85, -0.85}, {0.85, 0.85}, {-0.85, 0.85}});
  static const Polygon triangle = make_polygon({{-1.05, -0.75}, {1.05, -0.75}, {0.0, 1.1}});
  static const Polygon star = make_star(10, 1.25, 0.55);
  static const Polygon cross = make_cross(1.05, 0.36);
  static const Polygon diamond = make_polygon({{0.0, -1.25}, {0.8, 0.0}, {0.0, 1.25}, {-0.8, 0.0}});
  switch (kind) {
    case ShapeKind::circle:
      return disc_distance(x, y, 1.0f);
    case ShapeKind::square:
      return polygon_distance(square, x, y);
    case ShapeKind::triangle:
      return polygon_distance(triangle, x, y);
    case ShapeKind::star:
      return polygon_distance(star, x, y);
    case ShapeKind::ring:
      return std::abs(disc_distance(x, y, 0.8f)) - 0.25f;
    case ShapeKind::cross:
      return polygon_distance(cross, x, y);
    case ShapeKind::diamond:
      return polygon_distance(diamond, x, y);
    case ShapeKind::crescent:
      return std::max(disc_distance(x, y, 1.1f), -disc_distance(x - 0.6f, y - 0.1f, 0.9f));
  }
  return 0.0f;
}

}  // namespace cavmae
