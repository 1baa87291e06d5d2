// A decoded picture as 3 bytes a pixel, for those who want the frame itself: the colours that letterbox_normalize reads.
//
// Built with -DRTPARSE_SOURCE=nv12 or p016. Entry to_bgr_{SOURCE}, arguments: the source's (pictures.cuh), height, width,
//   uint8* output (BGR), its pitch in bytes
// Thread x is a pixel. Grid and block: launch.py.
#include "pictures.cuh"

namespace rtparse {

RTPARSE_KERNEL RTPARSE_PASTE(to_bgr_, RTPARSE_SOURCE)(RTPARSE_PASTE(RTPARSE_ARGUMENTS_, RTPARSE_SOURCE), int height,
                                                      int width, uint8* __restrict__ output, int output_pitch) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = index / width, x = index % width;
    if (y >= height) return;
    const RTPARSE_SOURCE picture = RTPARSE_PASTE(RTPARSE_PICTURE_, RTPARSE_SOURCE);
    const Bgr colour = picture(y, x);
    uint8* pixel = output + static_cast<long long>(y) * output_pitch + 3 * x;
    for (int k = 0; k < 3; ++k) pixel[k] = static_cast<uint8>(colour.at[k]);
}

}  // namespace rtparse

#define RTPARSE_NAME RTPARSE_PASTE(to_bgr_, RTPARSE_SOURCE)
using rtparse::RTPARSE_NAME;
RTPARSE_EXPORT(RTPARSE_NAME)
