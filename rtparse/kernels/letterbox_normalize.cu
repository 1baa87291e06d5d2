// A frame of any size and pitch to the network's input: rtparse/preprocess.py in one pass. Shrunk by area (whole blocks
// first, then the rest, each rounded to 8 bits as OpenCV does), enlarged bilinearly, normalized as value * scale - shift
// in float, zero around.
//
// Built with -D macros, one entry for each variant:
//   RTPARSE_T       half, bfloat16 or float: the input's type
//   RTPARSE_SOURCE  bgr: 3 bytes a pixel. nv12: a plane of Y, and one of U V pairs for every 2x2 pixels.
// Entry letterbox_normalize_{T}_{SOURCE}. Pitches are in bytes. Arguments: the source's (see Source), then
//   frame height, width, content height, width, top, left, network height, width, swap (1: the network takes RGB),
//   scale and shift of the network's first, second and third channel, T* output (3, network height, network width)
// Thread x is a pixel of the output. Grid and block: launch.py.
#include "area.cuh"
#include "bilinear.cuh"

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

// Pictures are functions of (y, x), so that one resize reads another's result without a buffer between.

struct bgr {
    const uint8* data;
    int pitch;

    RTPARSE_DEVICE Bgr operator()(int y, int x) const {
        const uint8* pixel = data + static_cast<long long>(y) * pitch + 3 * x;
        return {{read(pixel), read(pixel + 1), read(pixel + 2)}};
    }
};

struct nv12 {
    const uint8* luma;
    int luma_pitch;
    const uint8* chroma;
    int chroma_pitch;
    float black, gain, red_v, green_u, green_v, blue_u;

    RTPARSE_DEVICE Bgr operator()(int y, int x) const {
        const uint8* pair = chroma + static_cast<long long>(y / 2) * chroma_pitch + x / 2 * 2;
        const float grey = (read(luma + static_cast<long long>(y) * luma_pitch + x) - black) * gain;
        const float u = read(pair) - 128.0f, v = read(pair + 1) - 128.0f;
        return rounded({{grey + blue_u * u, grey + green_u * u + green_v * v, grey + red_v * v}});
    }
};

// One pixel of a picture of size (height, width) shrunk to (rows, columns).
template <typename Picture>
RTPARSE_DEVICE Bgr shrunk(const Picture& picture, int height, int width, int rows, int columns, int y, int x) {
    const Span down(y, height, rows), across(x, width, columns);
    // Cells of whole samples are summed, in integers as far as a float holds them, and divided at the end.
    const bool whole = height % rows == 0 && width % columns == 0;
    Bgr32 sum = {{0.0f, 0.0f, 0.0f}};
    for (int i = down.begin; i < down.end; ++i) {
        Bgr32 row = {{0.0f, 0.0f, 0.0f}};
        for (int j = across.begin; j < across.end; ++j) {
            const Bgr pixel = picture(i, j);
            const float weight = whole ? 1.0f : across.weight(j);
            for (int k = 0; k < 3; ++k) row.at[k] += weight * static_cast<float>(pixel.at[k]);
        }
        const float weight = whole ? 1.0f : down.weight(i);
        for (int k = 0; k < 3; ++k) sum.at[k] += weight * row.at[k];
    }
    if (!whole) return rounded(sum);
    const int samples = (height / rows) * (width / columns);
    const float share = 1.0f / static_cast<float>(samples);
    // Of a mean of four that lies half-way OpenCV takes the greater level; of others the even one.
    const bool fours = samples == 4 && height / rows == 2;
    for (int k = 0; k < 3; ++k) sum.at[k] = fours ? (static_cast<int>(sum.at[k]) + 2) / 4 : sum.at[k] * share;
    return rounded(sum);
}

template <typename Picture>
struct Shrunk {
    Picture picture;
    int height, width, rows, columns;

    RTPARSE_DEVICE Bgr operator()(int y, int x) const {
        return shrunk(picture, height, width, rows, columns, y, x);
    }
};

// One pixel of a picture of size (height, width) enlarged to (rows, columns).
template <typename Picture>
RTPARSE_DEVICE Bgr enlarged(const Picture& picture, int height, int width, int rows, int columns, int y, int x) {
    const Taps down = taps(y, static_cast<float>(height) / static_cast<float>(rows), 0.0f, height);
    const Taps across = taps(x, static_cast<float>(width) / static_cast<float>(columns), 0.0f, width);
    const Bgr a = picture(down.first, across.first), b = picture(down.first, across.second);
    const Bgr c = picture(down.second, across.first), d = picture(down.second, across.second);
    Bgr32 between;
    for (int k = 0; k < 3; ++k)
        between.at[k] = bilinear(static_cast<float>(a.at[k]), static_cast<float>(b.at[k]),
                                 static_cast<float>(c.at[k]), static_cast<float>(d.at[k]), down.weight, across.weight);
    return rounded(between);
}

template <typename Picture>
RTPARSE_DEVICE Bgr scaled(const Picture& picture, int height, int width, int rows, int columns, int y, int x) {
    if (rows > height || columns > width) return enlarged(picture, height, width, rows, columns, y, x);
    const int blocks = height / rows < width / columns ? height / rows : width / columns;
    const Shrunk<Picture> whole = {picture, height, width, height / blocks, width / blocks};
    return shrunk(whole, whole.rows, whole.columns, rows, columns, y, x);
}

typedef RTPARSE_T T;

#define RTPARSE_ARGUMENTS_bgr const uint8 *__restrict__ frame, int pitch
#define RTPARSE_PICTURE_bgr {frame, pitch}
#define RTPARSE_ARGUMENTS_nv12                                                                                    \
    const uint8 *__restrict__ luma, int luma_pitch, const uint8 *__restrict__ chroma, int chroma_pitch, float black, \
        float gain, float red_v, float green_u, float green_v, float blue_u
#define RTPARSE_PICTURE_nv12 {luma, luma_pitch, chroma, chroma_pitch, black, gain, red_v, green_u, green_v, blue_u}

#define RTPARSE_ENTRY_(type, source) letterbox_normalize_##type##_##source
#define RTPARSE_ENTRY(type, source) RTPARSE_ENTRY_(type, source)
#define RTPARSE_NAME RTPARSE_ENTRY(RTPARSE_T, RTPARSE_SOURCE)

RTPARSE_KERNEL RTPARSE_NAME(RTPARSE_PASTE(RTPARSE_ARGUMENTS_, RTPARSE_SOURCE), int frame_height, int frame_width,
                            int height, int width, int top, int left, int network_height, int network_width, int swap,
                            float scale0, float scale1, float scale2, float shift0, float shift1, float shift2,
                            T* __restrict__ output) {
    const int size = network_height * network_width, index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= size) return;
    const int y = index / network_width - top, x = index % network_width - left;
    const float scale[] = {scale0, scale1, scale2}, shift[] = {shift0, shift1, shift2};
    if (y < 0 || y >= height || x < 0 || x >= width) {
        for (int k = 0; k < 3; ++k) output[index + k * size] = from_float<T>(0.0f);
        return;
    }
    const RTPARSE_SOURCE picture = RTPARSE_PASTE(RTPARSE_PICTURE_, RTPARSE_SOURCE);
    const Bgr colour = scaled(picture, frame_height, frame_width, height, width, y, x);
#pragma unroll
    for (int k = 0; k < 3; ++k)
        output[index + k * size] =
            from_float<T>(static_cast<float>(swap ? colour.at[2 - k] : colour.at[k]) * scale[k] - shift[k]);
}

}  // namespace rtparse

using rtparse::RTPARSE_NAME;
RTPARSE_EXPORT(RTPARSE_NAME)
