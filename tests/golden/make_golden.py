"""Writes the golden mel columns that tests/front_end_golden.rs compares with.

Run in an environment made from VERSIONS.txt:

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install -r VERSIONS.txt
    /tmp/golden/bin/python make_golden.py

One file per signal, mel_SIGNAL.npy: float32 [rate, column, mel band], the rates in the order of RATES,
one second each, in dB: max(-100, 20 log10(mel power)). Only columns are stored; the test makes the
signals again by the formulas below, which are written so that Python and Rust agree to the last bit or
nearly so.
"""

import pathlib

import librosa
import numpy as np

RATES = (12_000, 22_050, 44_100, 48_000, 96_000)
SAMPLE_RATE = 12_000
FLOOR_DB = -100.0


def chirp(rate):
    """A sine of amplitude 0.5 from 50 Hz to 0.45 of the rate, linear in frequency."""
    t = np.arange(rate) / rate
    return 0.5 * np.sin(2.0 * np.pi * (50.0 * t + (0.45 * rate - 50.0) / 2.0 * t * t))


def clicks(rate):
    """Single samples of +0.9 and -0.9 in turn, ten a second, none on a multiple of the hop."""
    y = np.zeros(rate)
    for k in range(10):
        y[k * rate // 10 + 77] = 0.9 if k % 2 == 0 else -0.9
    return y


def noise(rate):
    """White noise between -0.5 and 0.5 from a 32-bit linear congruential generator."""
    state, y = 2026, np.empty(rate)
    for n in range(rate):
        state = (state * 1_664_525 + 1_013_904_223) % 2**32
        y[n] = state / 2**32 - 0.5
    return y


def silence(rate):
    return np.zeros(rate)


def full_scale(rate):
    """A square wave of 441 Hz between -1 and 1."""
    half_periods = np.arange(rate, dtype=np.int64) * 882 // rate
    return np.where(half_periods % 2 == 0, 1.0, -1.0)


def columns(signal, rate):
    # The product reads float32 samples; from there on everything here is float64.
    y = signal.astype(np.float32).astype(np.float64)
    if rate != SAMPLE_RATE:
        y = librosa.resample(
            y, orig_sr=rate, target_sr=SAMPLE_RATE, res_type="soxr_hq", fix=False, scale=False, axis=-1
        )
        # librosa's fix=True computes the length in floating point: 12001 samples for 44100.
        assert len(y) == SAMPLE_RATE, len(y)
    spectrum = librosa.stft(
        y,
        n_fft=512,
        hop_length=256,
        win_length=512,
        window="hann",
        center=True,
        dtype=np.complex128,
        pad_mode="reflect",
    )
    bands = librosa.filters.mel(
        sr=SAMPLE_RATE,
        n_fft=512,
        n_mels=96,
        fmin=0.0,
        fmax=6000.0,
        htk=False,
        norm="slaney",
        dtype=np.float32,
    )
    power = bands @ np.abs(spectrum) ** 2
    # The reference squares the mel power and floors it at amin = 1e-10, that is at -100 dB.
    return librosa.power_to_db(power**2, ref=1.0, amin=1e-10, top_db=None).T


def main():
    here = pathlib.Path(__file__).parent
    for signal in (chirp, clicks, noise, silence, full_scale):
        all_rates = np.stack([columns(signal(rate), rate) for rate in RATES]).astype(np.float32)
        assert all_rates.shape == (len(RATES), 1 + SAMPLE_RATE // 256, 96)
        assert all_rates.min() >= FLOOR_DB
        np.save(here / f"mel_{signal.__name__}.npy", all_rates)
        print(signal.__name__, all_rates.shape, all_rates.min(), all_rates.max())


if __name__ == "__main__":
    main()
