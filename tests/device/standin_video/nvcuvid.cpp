// A stand-in libnvcuvid.so.1: it asks the host to decode, and shows the pictures in the stand-in driver's
// memory as NVDEC does: with a pitch, in a ring that it writes into again.
#include <cuda.h>
// after it
#include <ffnvcodec/dynlink_nvcuvid.h>

#include <cstring>
#include <vector>

namespace {

using Decode = void (*)(void *parser, int codec, const unsigned char *data, unsigned long size, long long pts);

struct Decoder {
    std::vector<CUdeviceptr> surfaces;
    unsigned pitch, rows;
};

struct Parser {
    CUVIDPARSERPARAMS given;
    Decoder *decoder = nullptr;
    unsigned shown = 0;
};

Decode decode = nullptr;
thread_local Decoder *latest = nullptr;
int living = 0;

void copy_rows(CUdeviceptr to, unsigned pitch, const unsigned char *&from, int width, int rows) {
    for (int row = 0; row < rows; ++row, from += width) {
        std::memcpy(reinterpret_cast<unsigned char *>(to) + row * pitch, from, width);
    }
}

}  // namespace

extern "C" {

void standin_decode_by(Decode by) { decode = by; }

int standin_living_decoders() { return living; }

// A picture that the host has decoded: rows of luma and of chroma, as close as they can be.
void standin_decoded(void *handle, const unsigned char *planes, int width, int height, int bits, long long pts) {
    auto *parser = static_cast<Parser *>(handle);
    const CUVIDPARSERPARAMS &given = parser->given;
    if (!parser->decoder) {
        CUVIDEOFORMAT format{};
        format.codec = given.CodecType;
        format.progressive_sequence = 1;
        format.bit_depth_luma_minus8 = format.bit_depth_chroma_minus8 = static_cast<unsigned char>(bits - 8);
        format.min_num_decode_surfaces = 4;
        format.coded_width = (width + 15) / 16 * 16;
        format.coded_height = (height + 15) / 16 * 16;
        format.display_area.right = width;
        format.display_area.bottom = height;
        format.chroma_format = cudaVideoChromaFormat_420;
        given.pfnSequenceCallback(given.pUserData, &format);
        parser->decoder = latest;
    }
    const Decoder &decoder = *parser->decoder;
    CUVIDPICPARAMS picture{};
    picture.CurrPicIdx = static_cast<int>(parser->shown++ % decoder.surfaces.size());
    const CUdeviceptr surface = decoder.surfaces[picture.CurrPicIdx];
    const int bytes = width * (bits > 8 ? 2 : 1);
    copy_rows(surface, decoder.pitch, planes, bytes, height);
    copy_rows(surface + decoder.rows * decoder.pitch, decoder.pitch, planes, bytes, height / 2);
    given.pfnDecodePicture(given.pUserData, &picture);
    CUVIDPARSERDISPINFO shown{};
    shown.picture_index = picture.CurrPicIdx;
    shown.progressive_frame = 1;
    shown.timestamp = pts;
    given.pfnDisplayPicture(given.pUserData, &shown);
}

CUresult cuvidCreateVideoParser(CUvideoparser *parser, CUVIDPARSERPARAMS *given) {
    *parser = reinterpret_cast<CUvideoparser>(new Parser{*given});
    ++living;
    return CUDA_SUCCESS;
}

CUresult cuvidDestroyVideoParser(CUvideoparser parser) {
    delete reinterpret_cast<Parser *>(parser);
    --living;
    return CUDA_SUCCESS;
}

CUresult cuvidParseVideoData(CUvideoparser handle, CUVIDSOURCEDATAPACKET *packet) {
    auto *parser = reinterpret_cast<Parser *>(handle);
    decode(parser, parser->given.CodecType, packet->payload, packet->payload_size, packet->timestamp);
    return CUDA_SUCCESS;
}

CUresult cuvidGetDecoderCaps(CUVIDDECODECAPS *caps) {
    const bool tall = caps->nBitDepthMinus8 > 0;
    caps->bIsSupported = caps->eChromaFormat == cudaVideoChromaFormat_420 && caps->eCodecType != cudaVideoCodec_AV1 &&
                         !(tall && caps->eCodecType == cudaVideoCodec_H264);
    caps->nNumNVDECs = 1;
    caps->nOutputFormatMask = 1 << cudaVideoSurfaceFormat_NV12 | 1 << cudaVideoSurfaceFormat_P016;
    caps->nMinWidth = 48;
    caps->nMinHeight = 16;
    caps->nMaxWidth = caps->nMaxHeight = 8192;
    caps->nMaxMBCount = 1 << 18;
    return CUDA_SUCCESS;
}

CUresult cuvidCreateDecoder(CUvideodecoder *decoder, CUVIDDECODECREATEINFO *given) {
    auto *made = new Decoder;
    const unsigned long bytes = given->ulTargetWidth * (given->OutputFormat == cudaVideoSurfaceFormat_P016 ? 2 : 1);
    made->pitch = static_cast<unsigned>((bytes + 511) / 512 * 512);
    made->rows = static_cast<unsigned>(given->ulTargetHeight + 1) & ~1u;
    made->surfaces.resize(given->ulNumDecodeSurfaces);
    for (CUdeviceptr &surface : made->surfaces) {
        if (CUresult failed = cuMemAlloc(&surface, made->pitch * made->rows * 3 / 2); failed != CUDA_SUCCESS) return failed;
    }
    latest = made;
    ++living;
    *decoder = made;
    return CUDA_SUCCESS;
}

CUresult cuvidDestroyDecoder(CUvideodecoder handle) {
    auto *decoder = static_cast<Decoder *>(handle);
    for (CUdeviceptr surface : decoder->surfaces) cuMemFree(surface);
    delete decoder;
    --living;
    return CUDA_SUCCESS;
}

CUresult cuvidMapVideoFrame64(CUvideodecoder handle, int index, unsigned long long *surface, unsigned *pitch,
                              CUVIDPROCPARAMS *) {
    auto *decoder = static_cast<Decoder *>(handle);
    *surface = decoder->surfaces[index];
    *pitch = decoder->pitch;
    return CUDA_SUCCESS;
}

CUresult cuvidGetDecodeStatus(CUvideodecoder, int, CUVIDGETDECODESTATUS *status) {
    status->decodeStatus = cuvidDecodeStatus_Success;
    return CUDA_SUCCESS;
}

CUresult cuvidDecodePicture(CUvideodecoder, CUVIDPICPARAMS *) { return CUDA_SUCCESS; }
CUresult cuvidUnmapVideoFrame64(CUvideodecoder, unsigned long long) { return CUDA_SUCCESS; }

#define NO(name) \
    int name() { return 801; }
NO(cuvidReconfigureDecoder) NO(cuvidMapVideoFrame) NO(cuvidUnmapVideoFrame) NO(cuvidCtxLockCreate)
NO(cuvidCtxLockDestroy) NO(cuvidCtxLock) NO(cuvidCtxUnlock) NO(cuvidCreateVideoSource) NO(cuvidCreateVideoSourceW)
NO(cuvidDestroyVideoSource) NO(cuvidSetVideoSourceState) NO(cuvidGetVideoSourceState)
NO(cuvidGetSourceVideoFormat) NO(cuvidGetSourceAudioFormat)
}
