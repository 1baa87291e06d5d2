// What lets one source compile with NVRTC, nvcc and, under -DRTPARSE_HOST, g++.
//
// It needs no CUDA header: the two 16-bit types are converted by one PTX instruction or by integer arithmetic. Kernels
// use no shared memory, no barrier and no shuffle, so running their threads one after another on the host is exact.
// Compile without contraction of a * b + c (NVRTC: --fmad=false, g++: -ffp-contract=off); then the host's results are
// the GPU's, bit for bit.
#pragma once

#ifdef RTPARSE_HOST
#include <cmath>
#include <cstring>
#include <utility>
#define RTPARSE_KERNEL extern "C" void
#define RTPARSE_DEVICE inline
#else
#define RTPARSE_KERNEL extern "C" __global__ void
#define RTPARSE_DEVICE __device__ __forceinline__
#endif

#define RTPARSE_PASTE_(a, b) a##b
#define RTPARSE_PASTE(a, b) RTPARSE_PASTE_(a, b)

namespace rtparse {

typedef unsigned char uint8;

// 16-bit floats as memory holds them. `half` is IEEE binary16; `bfloat16` the upper half of a float.
struct half {
    unsigned short bits;
};

struct bfloat16 {
    unsigned short bits;
};

RTPARSE_DEVICE unsigned bits_of(float value) {
#ifdef RTPARSE_HOST
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
#else
    return __float_as_uint(value);
#endif
}

RTPARSE_DEVICE float float_of(unsigned bits) {
#ifdef RTPARSE_HOST
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
#else
    return __uint_as_float(bits);
#endif
}

RTPARSE_DEVICE float to_float(float value) { return value; }

RTPARSE_DEVICE float to_float(bfloat16 value) { return float_of(static_cast<unsigned>(value.bits) << 16); }

RTPARSE_DEVICE float to_float(half value) {
#ifdef RTPARSE_HOST
    const unsigned sign = (value.bits & 0x8000u) << 16, exponent = value.bits >> 10 & 31u, fraction = value.bits & 1023u;
    if (exponent == 31u) return float_of(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0u) return float_of(sign | bits_of(static_cast<float>(fraction) * 0x1p-24f));
    return float_of(sign | (exponent + 112u) << 23 | fraction << 13);
#else
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
    return result;
#endif
}

// Conversions from float round to the nearest, ties to even; what is too large becomes infinite.
template <typename T>
RTPARSE_DEVICE T from_float(float value);

template <>
RTPARSE_DEVICE float from_float<float>(float value) {
    return value;
}

template <>
RTPARSE_DEVICE bfloat16 from_float<bfloat16>(float value) {
    const unsigned bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fff};  // NaN
    return {static_cast<unsigned short>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

template <>
RTPARSE_DEVICE half from_float<half>(float value) {
#ifdef RTPARSE_HOST
    const unsigned bits = bits_of(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return {0x7fff};  // NaN
    if (magnitude >= 0x477ff000u) return {static_cast<unsigned short>(sign | 0x7c00u)};
    // Below 2^-14 a half is a multiple of 2^-24: adding 0.5, whose last bit has that value, rounds to one.
    if (magnitude < 0x38800000u)
        return {static_cast<unsigned short>(sign | (bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u))};
    return {static_cast<unsigned short>(sign | (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13)};
#else
    half result;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
    return result;
#endif
}

// To the nearest byte, ties to even; outside 0..255 to the nearer end.
RTPARSE_DEVICE uint8 to_byte(float value) {
#ifdef RTPARSE_HOST
    const float rounded = std::nearbyint(value);
#else
    const float rounded = rintf(value);
#endif
    return static_cast<uint8>(rounded < 0.0f ? 0.0f : rounded > 255.0f ? 255.0f : rounded);
}

// Inputs are read through these: on the GPU as data that no one writes meanwhile.
template <typename T>
RTPARSE_DEVICE T read(const T* from) {
#ifdef RTPARSE_HOST
    return *from;
#else
    return __ldg(from);
#endif
}

#define RTPARSE_READ_BITS(type)                                                                  \
    RTPARSE_DEVICE type read(const type* from) {                                                 \
        return {read(reinterpret_cast<const unsigned short*>(from))};                            \
    }
RTPARSE_READ_BITS(half)
RTPARSE_READ_BITS(bfloat16)
#undef RTPARSE_READ_BITS

#ifdef RTPARSE_HOST
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
#endif

// N values of 16 bytes or a multiple, which one thread moves 16 bytes at a time, from and to multiples of 16.
template <typename T, int N>
union Pack {
    enum { words = sizeof(T) * N / 16 };
    static_assert(words * 16 == sizeof(T) * N, "not a multiple of 16 bytes");

    uint4 word[words];
    T at[N];
};

RTPARSE_DEVICE bool aligned(const void* address) { return reinterpret_cast<unsigned long long>(address) % 16 == 0; }

template <typename T, int N>
RTPARSE_DEVICE Pack<T, N> load(const T* from) {
    Pack<T, N> result;
#pragma unroll
    for (int i = 0; i < Pack<T, N>::words; ++i) result.word[i] = read(reinterpret_cast<const uint4*>(from) + i);
    return result;
}

template <typename T, int N>
RTPARSE_DEVICE void store(T* to, const Pack<T, N>& values) {
#pragma unroll
    for (int i = 0; i < Pack<T, N>::words; ++i) {
        const uint4 word = values.word[i];
        uint4* at = reinterpret_cast<uint4*>(to) + i;
#ifdef RTPARSE_HOST
        *at = word;
#else
        // Written as plain C++ the compiler merges it with the scalar stores of a tail, and splits it.
        asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(at)), "r"(word.x),
                     "r"(word.y), "r"(word.z), "r"(word.w)
                     : "memory");
#endif
    }
}

}  // namespace rtparse

#ifdef RTPARSE_HOST

namespace rtparse {

struct Index {
    unsigned x, y, z;
};

// The names that CUDA gives every thread.
static thread_local Index gridDim, blockDim, blockIdx, threadIdx;

template <typename... Arguments, std::size_t... Places>
void run(void (*kernel)(Arguments...), void** params, std::index_sequence<Places...>) {
    kernel(*static_cast<Arguments*>(params[Places])...);
}

// Every thread of every block in turn, on the calling thread. params: a pointer to each argument, as cuLaunchKernel
// takes them.
template <typename... Arguments>
void run_on_host(void (*kernel)(Arguments...), const unsigned grid[3], const unsigned block[3], void** params) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x)
                for (threadIdx.z = 0; threadIdx.z < block[2]; ++threadIdx.z)
                    for (threadIdx.y = 0; threadIdx.y < block[1]; ++threadIdx.y)
                        for (threadIdx.x = 0; threadIdx.x < block[0]; ++threadIdx.x)
                            run(kernel, params, std::index_sequence_for<Arguments...>());
}

}  // namespace rtparse

// Put behind a kernel: the host build exports NAME_host(grid, block, params); other builds get nothing.
#define RTPARSE_EXPORT(name)                                                                                        \
    extern "C" void RTPARSE_PASTE(name, _host)(const unsigned grid[3], const unsigned block[3], void** params) {     \
        rtparse::run_on_host(name, grid, block, params);                                                            \
    }

#else
#define RTPARSE_EXPORT(name)
#endif
