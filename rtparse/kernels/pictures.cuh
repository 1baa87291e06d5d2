// Pictures as functions of (y, x) to a colour, whatever they are stored as, so that one step reads another's result
// without a buffer between.
//
// A kernel with -DRTPARSE_SOURCE has as its first parameters RTPARSE_PASTE(RTPARSE_ARGUMENTS_, RTPARSE_SOURCE), and makes
// the picture by RTPARSE_PASTE(RTPARSE_PICTURE_, RTPARSE_SOURCE):
//   bgr   3 bytes a pixel
//   nv12  a plane of Y, and one of U V pairs for every 2x2 pixels, a byte a sample
//   p016  the same with 2 bytes a sample, the upper bits used: 16 times 256 is what 16 is in a byte
#pragma once

#include "portable.cuh"

namespace rtparse {

struct Bgr {
    int at[3];
};

struct Bgr32 {
    float at[3];
};

RTPARSE_DEVICE Bgr rounded(const Bgr32& colour) {
    return {{to_byte(colour.at[0]), to_byte(colour.at[1]), to_byte(colour.at[2])}};
}

struct bgr {
    const uint8* data;
    int pitch;

    RTPARSE_DEVICE Bgr operator()(int y, int x) const {
        const uint8* pixel = data + static_cast<long long>(y) * pitch + 3 * x;
        return {{read(pixel), read(pixel + 1), read(pixel + 2)}};
    }

    RTPARSE_DEVICE Bgr32 exact(int y, int x) const {
        const Bgr colour = (*this)(y, x);
        return {{static_cast<float>(colour.at[0]), static_cast<float>(colour.at[1]), static_cast<float>(colour.at[2])}};
    }
};

RTPARSE_DEVICE float level(uint8 sample) { return static_cast<float>(sample); }

RTPARSE_DEVICE float level(unsigned short sample) { return static_cast<float>(sample) * (1.0f / 256.0f); }

// Pitches are in bytes. row, column: 1 where the picture begins amid the lines, or columns, that share chroma.
template <typename Sample>
struct Yuv420 {
    const uint8* luma;
    int luma_pitch;
    const uint8* chroma;
    int chroma_pitch, row, column;
    float black, gain, red_v, green_u, green_v, blue_u;

    // Not rounded, and beyond 0 and 255 where the samples are.
    RTPARSE_DEVICE Bgr32 exact(int y, int x) const {
        const Sample* line = reinterpret_cast<const Sample*>(luma + static_cast<long long>(y) * luma_pitch);
        const Sample* pair =
            reinterpret_cast<const Sample*>(chroma + static_cast<long long>((y + row) / 2) * chroma_pitch) +
            (x + column) / 2 * 2;
        const float grey = (level(read(line + x)) - black) * gain;
        const float u = level(read(pair)) - 128.0f, v = level(read(pair + 1)) - 128.0f;
        return {{grey + blue_u * u, grey + green_u * u + green_v * v, grey + red_v * v}};
    }

    RTPARSE_DEVICE Bgr operator()(int y, int x) const { return rounded(exact(y, x)); }
};

typedef Yuv420<uint8> nv12;
typedef Yuv420<unsigned short> p016;

}  // namespace rtparse

#define RTPARSE_ARGUMENTS_bgr const uint8 *__restrict__ frame, int pitch
#define RTPARSE_PICTURE_bgr {frame, pitch}
#define RTPARSE_ARGUMENTS_nv12                                                                                      \
    const uint8 *__restrict__ luma, int luma_pitch, const uint8 *__restrict__ chroma, int chroma_pitch, int row,    \
        int column, float black, float gain, float red_v, float green_u, float green_v, float blue_u
#define RTPARSE_PICTURE_nv12 \
    {luma, luma_pitch, chroma, chroma_pitch, row, column, black, gain, red_v, green_u, green_v, blue_u}
#define RTPARSE_ARGUMENTS_p016 RTPARSE_ARGUMENTS_nv12
#define RTPARSE_PICTURE_p016 RTPARSE_PICTURE_nv12
