// Memory: the device's lies on the host, filled with a pattern, and with guards behind it that are looked at when freed.
#include "state.hpp"

#include <cstdlib>
#include <cstring>

namespace standin {

namespace {

constexpr size_t GUARD = 256;
constexpr unsigned char FRESH = 0xA5, FREED = 0xDD, WATCH = 0x5C;

CUresult refuse() {
    ++state().counts["misuse"];
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult allocate(void **pointer, size_t size, bool host) {
    State &s = state();
    if (size == 0) return CUDA_ERROR_INVALID_VALUE;
    CUcontext owner = current_context();
    if (!host && s.device_bytes[owner] + size > memory_total()) return CUDA_ERROR_OUT_OF_MEMORY;
    void *block = nullptr;
    if (posix_memalign(&block, 256, size + GUARD) != 0) return CUDA_ERROR_OUT_OF_MEMORY;
    std::memset(block, FRESH, size);
    std::memset(static_cast<char *>(block) + size, WATCH, GUARD);
    s.memory[reinterpret_cast<uintptr_t>(block)] = {size, host, owner};
    if (!host) s.device_bytes[owner] += size;
    ++s.counts[host ? "host allocations" : "device allocations"];
    *pointer = block;
    return CUDA_SUCCESS;
}

CUresult release(void *pointer, bool host) {
    State &s = state();
    auto found = s.memory.find(reinterpret_cast<uintptr_t>(pointer));
    if (found == s.memory.end() || found->second.host != host) return refuse();
    advance_all();  // as the real one does
    auto *bytes = static_cast<unsigned char *>(pointer);
    for (size_t i = 0; i < GUARD; ++i) {
        if (bytes[found->second.size + i] != WATCH) {
            ++s.counts["misuse"];
            break;
        }
    }
    std::memset(bytes, FREED, found->second.size);
    if (!host) s.device_bytes[found->second.owner] -= found->second.size;
    s.memory.erase(found);
    std::free(bytes);
    return CUDA_SUCCESS;
}

bool on_device(CUdeviceptr pointer, size_t size) {
    const Block *block = block_of(reinterpret_cast<void *>(pointer), size);
    return block && !block->host && at_home(block->owner);
}

bool page_locked(const void *pointer, size_t size) {
    const Block *block = block_of(pointer, size);
    return block && block->host;
}

void *at(CUdeviceptr pointer) { return reinterpret_cast<void *>(pointer); }

// One side of a copy by rows.
struct Side {
    char *first;
    size_t pitch;
    bool device, locked;
};

Side side(CUmemorytype type, const void *host, CUdeviceptr device, size_t x, size_t y, size_t pitch,
          const CUDA_MEMCPY2D &copy) {
    pitch = pitch ? pitch : copy.WidthInBytes;
    bool on = type == CU_MEMORYTYPE_DEVICE || (type == CU_MEMORYTYPE_UNIFIED && on_device(device, 1));
    char *base = on || type == CU_MEMORYTYPE_UNIFIED ? static_cast<char *>(at(device))
                                                     : static_cast<char *>(const_cast<void *>(host));
    char *first = base + y * pitch + x;
    size_t reach = copy.Height ? (copy.Height - 1) * pitch + copy.WidthInBytes : 0;
    return {first, pitch, on && on_device(reinterpret_cast<CUdeviceptr>(first), reach), page_locked(first, reach)};
}

CUresult copy_rows(const CUDA_MEMCPY2D &copy, CUstream stream, bool wait) {
    Side from = side(copy.srcMemoryType, copy.srcHost, copy.srcDevice, copy.srcXInBytes, copy.srcY, copy.srcPitch, copy);
    Side to = side(copy.dstMemoryType, copy.dstHost, copy.dstDevice, copy.dstXInBytes, copy.dstY, copy.dstPitch, copy);
    if ((copy.srcMemoryType == CU_MEMORYTYPE_DEVICE && !from.device) ||
        (copy.dstMemoryType == CU_MEMORYTYPE_DEVICE && !to.device) || copy.WidthInBytes > from.pitch ||
        copy.WidthInBytes > to.pitch) {
        return refuse();
    }
    ++state().counts[from.device ? (to.device ? "copies on the device" : "downloads") : "uploads"];
    size_t width = copy.WidthInBytes, height = copy.Height;
    auto work = [from, to, width, height] {
        for (size_t row = 0; row < height; ++row) {
            std::memcpy(to.first + row * to.pitch, from.first + row * from.pitch, width);
        }
    };
    // Pageable memory is read before an upload returns, and written before a download returns.
    bool pageable = (!from.device && !from.locked) || (!to.device && !to.locked);
    if (pageable) ++state().counts["pageable copies"];
    if (!pageable && !wait) return enqueue(stream, work);
    if (!from.device && !wait) {
        auto kept = std::make_shared<std::vector<char>>(width * height);
        for (size_t row = 0; row < height; ++row) {
            std::memcpy(kept->data() + row * width, from.first + row * from.pitch, width);
        }
        return enqueue(stream, [kept, to, width, height] {
            for (size_t row = 0; row < height; ++row) {
                std::memcpy(to.first + row * to.pitch, kept->data() + row * width, width);
            }
        });
    }
    ++state().counts["synchronizations"];
    if (stream) {
        auto on = stream_of(stream);
        if (!on || on->capture) return refuse();
        advance(*on, on->given);
    } else {
        advance_all();
    }
    work();
    return CUDA_SUCCESS;
}

CUresult copy_line(CUmemorytype from, const void *source, CUmemorytype to, void *target, size_t size, CUstream stream,
                   bool wait) {
    CUDA_MEMCPY2D copy{};
    copy.srcMemoryType = from;
    copy.dstMemoryType = to;
    copy.srcHost = source;
    copy.dstHost = target;
    copy.srcDevice = reinterpret_cast<CUdeviceptr>(source);
    copy.dstDevice = reinterpret_cast<CUdeviceptr>(target);
    copy.srcPitch = copy.dstPitch = copy.WidthInBytes = size;
    copy.Height = 1;
    return copy_rows(copy, stream, wait);
}

constexpr CUmemorytype HOST = CU_MEMORYTYPE_HOST, DEVICE = CU_MEMORYTYPE_DEVICE;

}  // namespace

size_t memory_total() {
    static size_t total = static_cast<size_t>(setting("STANDIN_MEGABYTES", 1024)) << 20;
    return total;
}

const Block *block_of(const void *pointer, size_t size) {
    auto address = reinterpret_cast<uintptr_t>(pointer);
    auto after = state().memory.upper_bound(address);
    if (after == state().memory.begin()) return nullptr;
    auto &[first, block] = *--after;
    return address + size <= first + block.size ? &block : nullptr;
}

}  // namespace standin

using namespace standin;

CUresult cuMemGetInfo(size_t *free, size_t *total) {
    ENTER(context);
    *total = memory_total();
    *free = *total - state().device_bytes[current_context()];
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc(CUdeviceptr *pointer, size_t size) {
    ENTER(no_capture);
    return allocate(reinterpret_cast<void **>(pointer), size, false);
}

CUresult cuMemFree(CUdeviceptr pointer) {
    ENTER(no_capture);
    return release(at(pointer), false);
}

CUresult cuMemHostAlloc(void **pointer, size_t size, unsigned) {
    ENTER(no_capture);
    return allocate(pointer, size, true);
}

CUresult cuMemFreeHost(void *pointer) {
    ENTER(no_capture);
    return release(pointer, true);
}

CUresult cuMemGetAddressRange(CUdeviceptr *base, size_t *size, CUdeviceptr pointer) {
    ENTER(context);
    auto after = state().memory.upper_bound(pointer);
    if (after == state().memory.begin() || !on_device(pointer, 1)) return refuse();
    --after;
    *base = after->first;
    *size = after->second.size;
    return CUDA_SUCCESS;
}

CUresult cuMemcpyHtoD(CUdeviceptr target, const void *source, size_t size) {
    ENTER(no_capture);
    return copy_line(HOST, source, DEVICE, at(target), size, nullptr, true);
}

CUresult cuMemcpyDtoH(void *target, CUdeviceptr source, size_t size) {
    ENTER(no_capture);
    return copy_line(DEVICE, at(source), HOST, target, size, nullptr, true);
}

CUresult cuMemcpyDtoD(CUdeviceptr target, CUdeviceptr source, size_t size) {
    ENTER(no_capture);
    return copy_line(DEVICE, at(source), DEVICE, at(target), size, nullptr, true);
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr target, const void *source, size_t size, CUstream stream) {
    ENTER(context);
    return copy_line(HOST, source, DEVICE, at(target), size, stream, false);
}

CUresult cuMemcpyDtoHAsync(void *target, CUdeviceptr source, size_t size, CUstream stream) {
    ENTER(context);
    return copy_line(DEVICE, at(source), HOST, target, size, stream, false);
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr target, CUdeviceptr source, size_t size, CUstream stream) {
    ENTER(context);
    return copy_line(DEVICE, at(source), DEVICE, at(target), size, stream, false);
}

CUresult cuMemcpy2D(const CUDA_MEMCPY2D *copy) {
    ENTER(no_capture);
    return copy_rows(*copy, nullptr, true);
}

CUresult cuMemcpy2DUnaligned(const CUDA_MEMCPY2D *copy) {
    ENTER(no_capture);
    return copy_rows(*copy, nullptr, true);
}

CUresult cuMemcpy2DAsync(const CUDA_MEMCPY2D *copy, CUstream stream) {
    ENTER(context);
    return copy_rows(*copy, stream, false);
}

CUresult cuMemsetD8Async(CUdeviceptr pointer, unsigned char value, size_t size, CUstream stream) {
    ENTER(context);
    if (!on_device(pointer, size)) return refuse();
    return enqueue(stream, [=] { std::memset(at(pointer), value, size); });
}
