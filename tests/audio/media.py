"""Recordings of every kind that is listed as readable, made by libsndfile, or by FFmpeg through PyAV."""

import io
import tempfile
from pathlib import Path

import av
import numpy as np
import soundfile

BY_SNDFILE = {
    ".wav": ("WAV", "PCM_16"),
    ".wave": ("WAVEX", "PCM_24"),
    ".bwf": ("WAV", "FLOAT"),
    ".rf64": ("RF64", "PCM_16"),
    ".w64": ("W64", "PCM_16"),
    ".aif": ("AIFF", "PCM_16"),
    ".aiff": ("AIFF", "PCM_24"),
    ".aifc": ("AIFF", "FLOAT"),
    ".au": ("AU", "PCM_16"),
    ".snd": ("AU", "ULAW"),
    ".caf": ("CAF", "PCM_16"),
    ".voc": ("VOC", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".ogg": ("OGG", "VORBIS"),
    ".oga": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
}
"""Format and subtype by suffix."""

BY_FFMPEG = {
    ".alac": ("ipod", "alac"),
    ".wv": ("wv", "wavpack"),
    ".tta": ("tta", "tta"),
    ".mp2": ("mp2", "mp2"),
    ".mpa": ("mp2", "mp2"),
    ".m4a": ("ipod", "aac"),
    ".m4b": ("ipod", "aac"),
    ".m4r": ("ipod", "aac"),
    ".aac": ("adts", "aac"),
    ".ac3": ("ac3", "ac3"),
    ".eac3": ("eac3", "eac3"),
    ".wma": ("asf", "wmav2"),
    ".mka": ("matroska", "pcm_s16le"),
    ".weba": ("webm", "libopus"),
    ".amr": ("amr", "libopencore_amrnb"),
    ".3ga": ("3gp", "libopencore_amrnb"),
    ".mp4": ("mp4", "aac"),
    ".m4v": ("mp4", "alac"),
    ".mov": ("mov", "pcm_s16le"),
    ".3gp": ("3gp", "libopencore_amrnb"),
    ".3g2": ("3g2", "aac"),
    ".mkv": ("matroska", "ac3"),
    ".webm": ("webm", "libopus"),
    ".avi": ("avi", "libmp3lame"),
    ".wmv": ("asf", "wmav1"),
    ".asf": ("asf", "wmav2"),
    ".flv": ("flv", "libmp3lame"),
    ".mpg": ("mpeg", "mp2"),
    ".mpeg": ("mpeg", "mp2"),
    ".mts": ("mpegts", "ac3"),
    ".m2ts": ("mpegts", "aac"),
    ".vob": ("vob", "ac3"),
    ".ogv": ("ogg", "libopus"),
}
"""FFmpeg's muxer and encoder by suffix."""

RATES = {"OPUS": 48000, "libopus": 48000, "libopencore_amrnb": 8000}
"""Sample rates of encoders that take no other."""

WITH_PICTURES = (".mp4", ".mov", ".mkv", ".avi")


def by_sndfile(
    samples: np.ndarray, rate: int, container: str, subtype: str | None = None, **options
) -> bytes:
    """A file of libsndfile's; samples [N] or [N, C]."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, subtype, format=container, **options)
    return buffer.getvalue()


def by_ffmpeg(
    samples: np.ndarray, rate: int, muxer: str, encoder: str, pictures: bool = False, **options
) -> bytes:
    """A file of FFmpeg's; samples float [N], mono; `options` are the muxer's."""
    # On the disk: the index of MPEG-4 is moved to the front by a second look at the file.
    texts = {name: str(value) for name, value in options.items()}
    with (
        tempfile.NamedTemporaryFile() as written,
        av.open(written.name, "w", format=muxer, options=texts) as file,
    ):
        stream = file.add_stream(encoder, rate=rate, layout="mono")
        if encoder.startswith("wma"):
            stream.bit_rate = 96000
        film = file.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p") if pictures else None
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis].astype(np.float32), "flt", "mono")
        frame.sample_rate = rate
        fitting = av.AudioResampler(
            stream.format, stream.layout, rate, stream.codec_context.frame_size or None
        )
        for number in range(round(len(samples) / rate * 10) if film else 0):
            picture = av.VideoFrame(32, 32, "yuv420p")
            picture.pts = number
            file.mux(film.encode(picture))
        for part in [*fitting.resample(frame), *fitting.resample(None), None]:
            file.mux(stream.encode(part))
        if film:
            file.mux(film.encode(None))
        file.close()
        return Path(written.name).read_bytes()


def of_suffix(suffix: str, samples: np.ndarray, rate: int) -> bytes:
    """A file as its suffix says; the rate is 48 kHz or 8 kHz where the encoder takes no other."""
    if suffix in BY_SNDFILE:
        return by_sndfile(samples, rate, *BY_SNDFILE[suffix])
    muxer, encoder = BY_FFMPEG[suffix]
    options = {"mpegts_m2ts_mode": 1} if suffix == ".m2ts" else {}
    return by_ffmpeg(samples, rate, muxer, encoder, suffix in WITH_PICTURES, **options)


def rate_of_suffix(suffix: str) -> int:
    """A sample rate that the suffix's encoder takes."""
    return RATES.get((BY_FFMPEG | BY_SNDFILE)[suffix][1], 44100)
