// A stand-in libnvidia-encode.so.1: it takes pictures from the stand-in driver's memory, once all work on them is done,
// and asks the host to encode them. Of the structures only what has lain at their beginnings since version 11 is used.
#include <cuda.h>
// after it
#include <ffnvcodec/nvEncodeAPI.h>

#include <cstring>
#include <string>

namespace {

// Writes the packet, with `key` where it begins a group, and says its size; 0 pictures ask for the parameter sets.
using Encode = int (*)(void *session, int hevc, const unsigned char *picture, unsigned pitch, unsigned width,
                       unsigned height, char *packet, int room, int *key);

struct Session {
    CUcontext context;
    int hevc = 0;
    unsigned width = 0, height = 0;
};

struct Packet {
    std::string data;
    uint64_t timestamp;
    NV_ENC_PIC_TYPE type;
};

struct Resource {
    void *pointer;
    unsigned pitch;
};

Encode encode = nullptr;
int living = 0;
constexpr int ROOM = 1 << 22;
char room[ROOM];

bool same(const GUID &one, const GUID &other) { return std::memcmp(&one, &other, sizeof one) == 0; }

NVENCSTATUS open_session(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS *given, void **session) {
    *session = new Session{static_cast<CUcontext>(given->device)};
    ++living;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS close_session(void *session) {
    delete static_cast<Session *>(session);
    --living;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS count_guids(void *, uint32_t *count) {
    *count = 2;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS list_guids(void *, GUID *guids, uint32_t, uint32_t *count) {
    guids[0] = NV_ENC_CODEC_H264_GUID;
    guids[1] = NV_ENC_CODEC_HEVC_GUID;
    return count_guids(nullptr, count);
}

NVENCSTATUS capability(void *, GUID codec, NV_ENC_CAPS_PARAM *asked, int *value) {
    const bool most = asked->capsToQuery == NV_ENC_CAPS_WIDTH_MAX || asked->capsToQuery == NV_ENC_CAPS_HEIGHT_MAX;
    const bool least = asked->capsToQuery == NV_ENC_CAPS_WIDTH_MIN || asked->capsToQuery == NV_ENC_CAPS_HEIGHT_MIN;
    *value = most ? (same(codec, NV_ENC_CODEC_H264_GUID) ? 4096 : 8192) : least ? 32 : 1;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS preset(void *, GUID, GUID, NV_ENC_PRESET_CONFIG *) { return NV_ENC_SUCCESS; }

NVENCSTATUS tuned_preset(void *, GUID, GUID, NV_ENC_TUNING_INFO, NV_ENC_PRESET_CONFIG *) { return NV_ENC_SUCCESS; }

NVENCSTATUS begin(void *handle, NV_ENC_INITIALIZE_PARAMS *given) {
    auto *session = static_cast<Session *>(handle);
    session->hevc = same(given->encodeGUID, NV_ENC_CODEC_HEVC_GUID);
    session->width = given->encodeWidth;
    session->height = given->encodeHeight;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS make_packet(void *, NV_ENC_CREATE_BITSTREAM_BUFFER *made) {
    made->bitstreamBuffer = new Packet;
    ++living;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS drop_packet(void *, NV_ENC_OUTPUT_PTR packet) {
    delete static_cast<Packet *>(packet);
    --living;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS make_resource(void *, NV_ENC_REGISTER_RESOURCE *given) {
    given->registeredResource = new Resource{given->resourceToRegister, given->pitch};
    ++living;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS drop_resource(void *, NV_ENC_REGISTERED_PTR resource) {
    delete static_cast<Resource *>(resource);
    --living;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS map_resource(void *, NV_ENC_MAP_INPUT_RESOURCE *given) {
    given->mappedResource = given->registeredResource;
    given->mappedBufferFmt = NV_ENC_BUFFER_FORMAT_NV12;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS unmap_resource(void *, NV_ENC_INPUT_PTR) { return NV_ENC_SUCCESS; }

NVENCSTATUS take_picture(void *handle, NV_ENC_PIC_PARAMS *given) {
    if (given->encodePicFlags & NV_ENC_PIC_FLAG_EOS) return NV_ENC_SUCCESS;
    auto *session = static_cast<Session *>(handle);
    auto *picture = static_cast<Resource *>(given->inputBuffer);
    auto *packet = static_cast<Packet *>(given->outputBitstream);
    cuCtxPushCurrent(session->context);
    cuCtxSynchronize();
    cuCtxPopCurrent(nullptr);
    int key = 0;
    const int size = encode(session, session->hevc, static_cast<unsigned char *>(picture->pointer), picture->pitch,
                            session->width, session->height, room, ROOM, &key);
    *packet = {{room, static_cast<size_t>(size)}, given->inputTimeStamp, key ? NV_ENC_PIC_TYPE_IDR : NV_ENC_PIC_TYPE_P};
    return NV_ENC_SUCCESS;
}

NVENCSTATUS lock_packet(void *, NV_ENC_LOCK_BITSTREAM *given) {
    auto *packet = static_cast<Packet *>(given->outputBitstream);
    given->bitstreamBufferPtr = packet->data.data();
    given->bitstreamSizeInBytes = static_cast<uint32_t>(packet->data.size());
    given->outputTimeStamp = packet->timestamp;
    given->pictureType = packet->type;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS unlock_packet(void *, NV_ENC_OUTPUT_PTR) { return NV_ENC_SUCCESS; }

NVENCSTATUS parameter_sets(void *handle, NV_ENC_SEQUENCE_PARAM_PAYLOAD *given) {
    auto *session = static_cast<Session *>(handle);
    const int size = encode(session, session->hevc, nullptr, 0, session->width, session->height,
                            static_cast<char *>(given->spsppsBuffer), static_cast<int>(given->inBufferSize), nullptr);
    *given->outSPSPPSPayloadSize = static_cast<uint32_t>(size);
    return NV_ENC_SUCCESS;
}

NVENCSTATUS use_streams(void *, NV_ENC_CUSTREAM_PTR, NV_ENC_CUSTREAM_PTR) { return NV_ENC_SUCCESS; }

const char *last_error(void *) { return "the stand-in"; }

NVENCSTATUS no() { return NV_ENC_ERR_UNIMPLEMENTED; }

}  // namespace

extern "C" {

void standin_encode_by(Encode by) { encode = by; }

int standin_living_encoders() { return living; }

NVENCSTATUS NvEncodeAPIGetMaxSupportedVersion(uint32_t *version) {
    *version = 13 << 4;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS NvEncodeAPICreateInstance(NV_ENCODE_API_FUNCTION_LIST *list) {
    auto *functions = reinterpret_cast<void **>(&list->nvEncOpenEncodeSession);
    for (auto *last = reinterpret_cast<void **>(&list->nvEncGetSequenceParamEx); functions <= last; ++functions) {
        *functions = reinterpret_cast<void *>(no);
    }
    list->nvEncOpenEncodeSessionEx = open_session;
    list->nvEncDestroyEncoder = close_session;
    list->nvEncGetEncodeGUIDCount = count_guids;
    list->nvEncGetEncodeGUIDs = list_guids;
    list->nvEncGetEncodeCaps = capability;
    list->nvEncGetEncodePresetConfig = preset;
    list->nvEncGetEncodePresetConfigEx = tuned_preset;
    list->nvEncInitializeEncoder = begin;
    list->nvEncCreateBitstreamBuffer = make_packet;
    list->nvEncDestroyBitstreamBuffer = drop_packet;
    list->nvEncRegisterResource = make_resource;
    list->nvEncUnregisterResource = drop_resource;
    list->nvEncMapInputResource = map_resource;
    list->nvEncUnmapInputResource = unmap_resource;
    list->nvEncEncodePicture = take_picture;
    list->nvEncLockBitstream = lock_packet;
    list->nvEncUnlockBitstream = unlock_packet;
    list->nvEncGetSequenceParams = parameter_sets;
    list->nvEncSetIOCudaStreams = use_streams;
    list->nvEncGetLastErrorString = last_error;
    return NV_ENC_SUCCESS;
}
}
