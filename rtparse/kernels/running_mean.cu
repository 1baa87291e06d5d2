// The running mean of logits that --smooth asks for (rtparse/smoothing.py), kept in float, updated in place.
//
// Built with -DRTPARSE_T=half, bfloat16 or float, the logits' type. Entry running_mean_{T}, arguments:
//   const T* logits, float* mean, count, kept, added: mean = mean * kept + logits * added,
//   const float* distances (rows), rows, limit
// With kept 0, and at a scene cut, the mean becomes the logits, whatever it held: the distances of scene_cut sum up to
// more than the limit there, so that no host has to be asked. Thread x is one value. Grid and block: launch.py.
#include "portable.cuh"

namespace rtparse {

typedef RTPARSE_T T;

RTPARSE_KERNEL RTPARSE_PASTE(running_mean_, RTPARSE_T)(const T* __restrict__ logits, float* __restrict__ mean,
                                                       int count, float kept, float added,
                                                       const float* __restrict__ distances, int rows, float limit) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    float distance = 0.0f;
    for (int i = 0; i < rows; ++i) distance += read(distances + i);
    const float value = to_float(read(logits + index));
    mean[index] = kept == 0.0f || distance > limit ? value : mean[index] * kept + value * added;
}

}  // namespace rtparse

#define RTPARSE_NAME RTPARSE_PASTE(running_mean_, RTPARSE_T)
using rtparse::RTPARSE_NAME;
RTPARSE_EXPORT(RTPARSE_NAME)
