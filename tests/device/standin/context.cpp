// The driver's door: versions, one or more devices with one memory, primary contexts, error texts.
#include "state.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace standin {

namespace {

thread_local std::vector<CUcontext> stack;

CUcontext primary(CUdevice device) { return reinterpret_cast<CUcontext>(0x7000 + 16 * static_cast<uintptr_t>(device)); }

long devices() { return setting("STANDIN_DEVICES", 1); }

CUcontext owner_of(const Block &block) { return block.owner; }
CUcontext owner_of(Function *function) { return function->owner; }
template <class Kind>
CUcontext owner_of(const std::shared_ptr<Kind> &kept) {
    return kept->owner;
}

template <class Map>
long drop(Map &map, CUcontext owner) {
    return static_cast<long>(std::erase_if(map, [owner](auto &each) { return owner_of(each.second) == owner; }));
}

// What is still there when the context goes: the real driver frees it as well, and nobody learns that it was forgotten.
void reclaim(CUcontext context) {
    State &s = state();
    advance_all();
    drop(s.functions, context);
    // The bytes of memory stay, as somebody may hold them.
    s.counts["leaked"] += drop(s.memory, context) + drop(s.streams, context) + drop(s.events, context) +
                          drop(s.modules, context) + drop(s.graphs, context) + drop(s.executables, context);
    s.device_bytes.erase(context);
}

const std::map<int, std::pair<const char *, const char *>> &texts() {
    static const std::map<int, std::pair<const char *, const char *>> table{
        {0, {"CUDA_SUCCESS", "no error"}},
        {1, {"CUDA_ERROR_INVALID_VALUE", "invalid argument"}},
        {2, {"CUDA_ERROR_OUT_OF_MEMORY", "out of memory"}},
        {3, {"CUDA_ERROR_NOT_INITIALIZED", "initialization error"}},
        {46, {"CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA-capable device(s) is/are busy or unavailable"}},
        {100, {"CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"}},
        {101, {"CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"}},
        {200, {"CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"}},
        {201, {"CUDA_ERROR_INVALID_CONTEXT", "invalid device context"}},
        {214, {"CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"}},
        {222,
         {"CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the provided PTX was compiled with an unsupported toolchain."}},
        {400, {"CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"}},
        {401, {"CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"}},
        {500, {"CUDA_ERROR_NOT_FOUND", "named symbol not found"}},
        {600, {"CUDA_ERROR_NOT_READY", "device not ready"}},
        {700, {"CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"}},
        {719, {"CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"}},
        {801, {"CUDA_ERROR_NOT_SUPPORTED", "operation not supported"}},
        {803,
         {"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver / cuda driver combination"}},
        {900, {"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"}},
        {901,
         {"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"}},
        {905,
         {"CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
          "dependency created on uncaptured work in another stream"}},
        {999, {"CUDA_ERROR_UNKNOWN", "unknown error"}},
    };
    return table;
}

}  // namespace

CUcontext current_context() { return stack.empty() ? nullptr : stack.back(); }

bool at_home(CUcontext owner) {
    if (owner == current_context()) return true;
    ++state().counts["misuse"];
    return false;
}

}  // namespace standin

using namespace standin;

CUresult cuInit(unsigned) {
    ENTER(nothing);
    if (devices() == 0) return CUDA_ERROR_NO_DEVICE;
    state().pid = getpid();
    return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version) {
    ENTER(nothing);
    *version = static_cast<int>(setting("STANDIN_DRIVER", CUDA_VERSION));
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count) {
    ENTER(init);
    *count = static_cast<int>(devices());
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    ENTER(init);
    if (ordinal < 0 || ordinal >= devices()) return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int room, CUdevice) {
    ENTER(init);
    std::snprintf(name, static_cast<size_t>(room), "stand-in");
    return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem(size_t *bytes, CUdevice) {
    ENTER(init);
    *bytes = memory_total();
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice) {
    ENTER(init);
    switch (attribute) {
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = 8; break;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = 9; break;
        case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = 1024; break;
        case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 4; break;
        case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *value = 32; break;
        default: *value = 1;
    }
    return CUDA_SUCCESS;
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice) {
    ENTER(init);
    *major = 8;
    *minor = 9;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    ENTER(init);
    *context = primary(device);
    ++state().retained[*context];
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
    ENTER(init);
    unsigned &users = state().retained[primary(device)];
    if (users == 0) {
        ++state().counts["misuse"];
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    if (--users == 0) reclaim(primary(device));
    return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent(CUcontext context) {
    ENTER(init);
    stack.push_back(context);
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent(CUcontext *context) {
    ENTER(init);
    if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (context) *context = stack.back();
    stack.pop_back();
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *context) {
    ENTER(init);
    *context = current_context();
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) {
    ENTER(init);
    if (!stack.empty()) stack.pop_back();
    if (context) stack.push_back(context);
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device) {
    ENTER(context);
    *device = static_cast<CUdevice>((reinterpret_cast<uintptr_t>(current_context()) - 0x7000) / 16);
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult code, const char **text) {
    auto found = texts().find(code);
    *text = found == texts().end() ? "unrecognized error code" : found->second.second;
    return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult code, const char **text) {
    auto found = texts().find(code);
    *text = found == texts().end() ? "unrecognized error code" : found->second.first;
    return CUDA_SUCCESS;
}

CUresult cuGetProcAddress(const char *symbol, void **function, int, cuuint64_t,
                          CUdriverProcAddressQueryResult *result) {
    static void *self = [] {
        Dl_info info{};
        dladdr(reinterpret_cast<void *>(&cuInit), &info);
        return dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    }();
    *function = nullptr;
    const char *lacking = std::getenv("STANDIN_LACKS");  // as an older driver lacks a function
    if (lacking && std::strcmp(symbol, lacking) == 0) {
        if (result) *result = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
        return CUDA_ERROR_NOT_FOUND;
    }
    for (const char *version : {"_v4", "_v3", "_v2", ""}) {
        if (!*function) *function = dlsym(self, (std::string(symbol) + version).c_str());
    }
    if (result) *result = *function ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
