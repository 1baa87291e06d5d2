// Copies bytes in a stream's order between the host's memory and the GPU's, which only the stand-in driver can: what
// NVDEC and NVENC move by themselves. Entry moved, arguments: const uint8* from, uint8* to, bytes. One thread does it.
#include "portable.cuh"

namespace rtparse {

RTPARSE_KERNEL moved(const uint8* from, uint8* to, int bytes) {
    if (blockIdx.x * blockDim.x + threadIdx.x > 0) return;
    for (int i = 0; i < bytes; ++i) to[i] = from[i];
}

}  // namespace rtparse

using rtparse::moved;
RTPARSE_EXPORT(moved)
