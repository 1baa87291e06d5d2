// 2 to 5 feature maps of different sizes, each interpolated to the size of the last, concatenated on channels: one
// pass, no intermediate. A map that has the output's size already (the last one always) is copied.
//
// Built with -D macros, one entry for each variant:
//   RTPARSE_T       half, bfloat16 or float
//   RTPARSE_LAYOUT  linear: (N, C, H, W). hwc8: (N, H, W, C8), where C8 is C rounded up to a multiple of 8, for each
//                   tensor on its own; what is past C is never read, and written as 0.
//   RTPARSE_INPUTS  2 to 5
// Entry upsample_concat_{T}_{LAYOUT}_{INPUTS}, arguments in this order:
//   const T* of each input, batch, output height, output width, (channels, height, width) of each input, T* output
// Every tensor is contiguous; those of hwc8 start at multiples of 16 bytes. Grid and block: launch.py.
#include "bilinear.cuh"

#define RTPARSE_REPEAT_1(M) M(0)
#define RTPARSE_REPEAT_2(M) RTPARSE_REPEAT_1(M), M(1)
#define RTPARSE_REPEAT_3(M) RTPARSE_REPEAT_2(M), M(2)
#define RTPARSE_REPEAT_4(M) RTPARSE_REPEAT_3(M), M(3)
#define RTPARSE_REPEAT_5(M) RTPARSE_REPEAT_4(M), M(4)
#define RTPARSE_EACH(M) RTPARSE_PASTE(RTPARSE_REPEAT_, RTPARSE_INPUTS)(M)
#define RTPARSE_POINTER(i) const T* __restrict__ in##i
#define RTPARSE_SHAPE(i) int c##i, int h##i, int w##i
#define RTPARSE_MAP(i) {in##i, c##i, h##i, w##i}

namespace rtparse {

template <typename T>
struct Map {
    const T* data;
    int channels, height, width;
};

// Samples `begin` to `end` of a plane of the output, counted in row order, to `result`, whose own first is `first`.
template <typename T, int N>
RTPARSE_DEVICE void fill(Pack<T, N>& result, const T* plane, const Map<T>& map, int first, int begin, int end,
                         int height, int width) {
    const float scale_y = static_cast<float>(map.height) / static_cast<float>(height);
    const float scale_x = static_cast<float>(map.width) / static_cast<float>(width);
    int y = begin / width, x = begin - y * width;
    Taps rows = taps(y, scale_y, 0.0f, map.height);
    RowPair<T> pair(plane + rows.first * map.width, plane + rows.second * map.width);
#pragma unroll
    for (int i = 0; i < N; ++i) {
        if (first + i < begin || first + i >= end) continue;
        result.at[i] = from_float<T>(pair.at(taps(x, scale_x, 0.0f, map.width), rows.weight));
        if (++x == width) {
            x = 0;
            rows = taps(++y, scale_y, 0.0f, map.height);
            pair = RowPair<T>(plane + rows.first * map.width, plane + rows.second * map.width);
        }
    }
}

// The input that holds a channel of the output; `channel` becomes the channel in it.
template <typename T>
RTPARSE_DEVICE Map<T> find(const Map<T> (&maps)[RTPARSE_INPUTS], int& channel) {
    Map<T> found = maps[0];
    int base = 0, of_found = 0;
#pragma unroll
    for (int i = 1; i < RTPARSE_INPUTS; ++i) {
        base += maps[i - 1].channels;
        if (channel >= base) {
            found = maps[i];
            of_found = base;
        }
    }
    channel -= of_found;
    return found;
}

template <typename T>
RTPARSE_DEVICE int total_channels(const Map<T> (&maps)[RTPARSE_INPUTS]) {
    int channels = 0;
#pragma unroll
    for (int i = 0; i < RTPARSE_INPUTS; ++i) channels += maps[i].channels;
    return channels;
}

// Block y is a channel of the output, block z a sample; a thread writes the 16 bytes around one aligned address.
template <typename T>
RTPARSE_DEVICE void linear(const Map<T> (&maps)[RTPARSE_INPUTS], int batch, int height, int width, T* output) {
    constexpr int N = 16 / sizeof(T);
    const int sample = blockIdx.z, size = height * width;
    int channel = blockIdx.y;
    const Map<T> map = find(maps, channel);
    const T* plane = map.data + (static_cast<long long>(sample) * map.channels + channel) * map.height * map.width;
    T* to = output + (static_cast<long long>(sample) * total_channels(maps) + blockIdx.y) * size;
    // Samples of a plane that starts between two aligned addresses are counted from the lower one.
    const int lead = static_cast<int>(reinterpret_cast<unsigned long long>(to) / sizeof(T) % N);
    const int first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * N - lead;
    const int begin = first > 0 ? first : 0, end = first + N < size ? first + N : size;
    if (sample >= batch || begin >= end) return;

    Pack<T, N> result;
    if (map.height != height || map.width != width) {
        fill(result, plane, map, first, begin, end, height, width);
    } else if (end - begin == N && aligned(plane + first)) {
        result = load<T, N>(plane + first);
    } else {
#pragma unroll
        for (int i = 0; i < N; ++i)
            if (first + i >= begin && first + i < end) result.at[i] = read(plane + first + i);
    }
    if (end - begin == N) {
        store<T, N>(to + first, result);
    } else {
#pragma unroll
        for (int i = 0; i < N; ++i)
            if (first + i >= begin && first + i < end) to[first + i] = result.at[i];
    }
}

RTPARSE_DEVICE int rounded_up_to_8(int channels) { return (channels + 7) / 8 * 8; }

// Where the four corners around the output's pixel (y, x) lie in an hwc8 map, and how they are weighted.
template <typename T>
struct Corners {
    const T *a, *b, *c, *d;
    float down, right;
    bool copy;

    RTPARSE_DEVICE Corners(const Map<T>& map, int channel, int sample, int y, int x, int height, int width)
        : copy(map.height == height && map.width == width) {
        const int stride = rounded_up_to_8(map.channels);
        const T* from = map.data + static_cast<long long>(sample) * map.height * map.width * stride + channel;
        const Taps rows = taps(y, static_cast<float>(map.height) / static_cast<float>(height), 0.0f, map.height);
        const Taps columns = taps(x, static_cast<float>(map.width) / static_cast<float>(width), 0.0f, map.width);
        a = from + (static_cast<long long>(rows.first) * map.width + columns.first) * stride;
        b = from + (static_cast<long long>(rows.first) * map.width + columns.second) * stride;
        c = from + (static_cast<long long>(rows.second) * map.width + columns.first) * stride;
        d = from + (static_cast<long long>(rows.second) * map.width + columns.second) * stride;
        down = rows.weight;
        right = columns.weight;
    }

    RTPARSE_DEVICE T between(T a, T b, T c, T d) const {
        return from_float<T>(bilinear(to_float(a), to_float(b), to_float(c), to_float(d), down, right));
    }
};

// Block y is a sample; a thread writes 8 channels of one pixel.
template <typename T>
RTPARSE_DEVICE void hwc8(const Map<T> (&maps)[RTPARSE_INPUTS], int batch, int height, int width, T* output) {
    const int channels = total_channels(maps), groups = rounded_up_to_8(channels) / 8, sample = blockIdx.y;
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x, pixel = index / groups;
    if (sample >= batch || pixel >= static_cast<unsigned>(height) * width) return;
    const int first = static_cast<int>(index % groups) * 8, y = pixel / width, x = pixel % width;

    Pack<T, 8> result;
    int channel = first;
    const Map<T> map = find(maps, channel);
    if (channel % 8 == 0 && channel + 8 <= map.channels) {
        const Corners<T> at(map, channel, sample, y, x, height, width);
        result = load<T, 8>(at.a);
        if (!at.copy) {
            const Pack<T, 8> b = load<T, 8>(at.b), c = load<T, 8>(at.c), d = load<T, 8>(at.d);
#pragma unroll
            for (int j = 0; j < 8; ++j) result.at[j] = at.between(result.at[j], b.at[j], c.at[j], d.at[j]);
        }
    } else {
        // The group begins amid one of the input's own groups, or another input or the padding begins amid it.
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            int one = first + j;
            const Map<T> its = find(maps, one);
            result.at[j] = from_float<T>(0.0f);
            if (one >= its.channels) continue;
            const Corners<T> at(its, one, sample, y, x, height, width);
            result.at[j] = read(at.a);
            if (!at.copy) result.at[j] = at.between(result.at[j], read(at.b), read(at.c), read(at.d));
        }
    }
    store<T, 8>(output + ((static_cast<long long>(sample) * height * width + pixel) * groups * 8 + first), result);
}

typedef RTPARSE_T T;

#define RTPARSE_ENTRY_(type, layout, inputs) upsample_concat_##type##_##layout##_##inputs
#define RTPARSE_ENTRY(type, layout, inputs) RTPARSE_ENTRY_(type, layout, inputs)
#define RTPARSE_NAME RTPARSE_ENTRY(RTPARSE_T, RTPARSE_LAYOUT, RTPARSE_INPUTS)

RTPARSE_KERNEL RTPARSE_NAME(RTPARSE_EACH(RTPARSE_POINTER), int batch, int height, int width,
                            RTPARSE_EACH(RTPARSE_SHAPE), T* __restrict__ output) {
    const Map<T> maps[] = {RTPARSE_EACH(RTPARSE_MAP)};
    RTPARSE_LAYOUT(maps, batch, height, width, output);
}

}  // namespace rtparse

using rtparse::RTPARSE_NAME;
RTPARSE_EXPORT(RTPARSE_NAME)
