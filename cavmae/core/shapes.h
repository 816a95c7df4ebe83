// The glossary of tensor shapes. Every comment that states a shape uses these letters.
//
//   B  clips in a batch          L  patches (tokens) of a stream     D  width of the encoder
//   T  fbank frames (10 ms)      N  patches that are kept            E  width of the decoder
//   F  mel bins                  H  attention heads                  C  classes
//   S  image side in pixels      P  patch side in pixels             K  video frames of a clip
#pragma once
