// What PyNvVideoCodec asks of the driver beside what rtparse does.
#include "state.hpp"

using namespace standin;

// A context of its own is the primary one here.
extern "C" CUresult cuCtxCreate_v2(CUcontext *context, unsigned, CUdevice device) {
    CUresult refused = cuDevicePrimaryCtxRetain(context, device);
    return refused == CUDA_SUCCESS ? cuCtxPushCurrent(*context) : refused;
}

CUresult cuCtxDestroy_v2(CUcontext) {
    CUcontext popped;
    CUdevice device;
    CUresult refused = cuCtxGetDevice(&device);
    if (refused == CUDA_SUCCESS) refused = cuCtxPopCurrent(&popped);
    return refused == CUDA_SUCCESS ? cuDevicePrimaryCtxRelease(device) : refused;
}

CUresult cuStreamGetCtx(CUstream handle, CUcontext *context) {
    ENTER(init);
    auto stream = stream_of(handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    *context = stream->owner;
    return CUDA_SUCCESS;
}

CUresult cuPointerGetAttribute(void *value, CUpointer_attribute attribute, CUdeviceptr pointer) {
    ENTER(init);
    const Block *block = block_of(reinterpret_cast<void *>(pointer), 1);
    if (!block || block->host) return CUDA_ERROR_INVALID_VALUE;
    if (attribute == CU_POINTER_ATTRIBUTE_DEVICE_POINTER) {
        *static_cast<CUdeviceptr *>(value) = pointer;
    } else {
        *static_cast<int *>(value) = 0;
    }
    return CUDA_SUCCESS;
}

CUresult cuMemAllocPitch(CUdeviceptr *pointer, size_t *pitch, size_t width, size_t height, unsigned) {
    *pitch = (width + 511) / 512 * 512;
    return cuMemAlloc(pointer, *pitch * height);
}
