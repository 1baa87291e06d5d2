// How far a thumbnail is from the one before, by which --smooth tells a scene cut (rtparse/smoothing.py); it becomes the
// one before in the same pass.
//
// Entry scene_cut, arguments:
//   const float* thumbnail (rows, side), float* before (rows, side), rows, side, float* distances (rows): of each row,
//   the sum of the absolute differences
// Thread x is a row. What all rows sum up to is left to running_mean. Grid and block: launch.py.
#include "portable.cuh"

namespace rtparse {

RTPARSE_KERNEL scene_cut(const float* __restrict__ thumbnail, float* __restrict__ before, int rows, int side,
                         float* __restrict__ distances) {
    const int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    float sum = 0.0f;
    for (int i = row * side; i < (row + 1) * side; ++i) {
        const float value = read(thumbnail + i), difference = value - before[i];
        sum += difference < 0.0f ? -difference : difference;
        before[i] = value;
    }
    distances[row] = sum;
}

}  // namespace rtparse

using rtparse::scene_cut;
RTPARSE_EXPORT(scene_cut)
