// The running mean of logits that --smooth asks for (rtparse/smoothing.py), kept in float, updated in place.
//
// Built with -DRTPARSE_T=half, bfloat16 or float, the logits' type. Entry running_mean_{T}, arguments:
//   const T* logits, float* mean, count, kept, added: mean = mean * kept + logits * added
// With kept 0 the mean starts anew, whatever it held. Thread x is one value. Grid and block: launch.py.
#include "portable.cuh"

namespace rtparse {

typedef RTPARSE_T T;

RTPARSE_KERNEL RTPARSE_PASTE(running_mean_, RTPARSE_T)(const T* __restrict__ logits, float* __restrict__ mean,
                                                       int count, float kept, float added) {
    const int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const float value = to_float(read(logits + index)) * added;
    mean[index] = kept == 0.0f ? value : mean[index] * kept + value;
}

}  // namespace rtparse

#define RTPARSE_NAME RTPARSE_PASTE(running_mean_, RTPARSE_T)
using rtparse::RTPARSE_NAME;
RTPARSE_EXPORT(RTPARSE_NAME)
