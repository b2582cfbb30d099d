//! Source code that turns a window of samples into a row, with the integers of a board.

use super::source::comment;
use crate::problem::dataset::Windows;
use smidgen_protocol::recipe::Feature;
use std::fmt::Write;

const RUST: &str = "
/// Computes a row from a window of samples, in the integers of a sensor whose full scale is 2^15.
pub fn features(window: &[[i16; CHANNELS]; WINDOW]) -> [f64; COLUMNS] {
    const N: u32 = WINDOW as u32;
    let mut row = [0.0; COLUMNS];
    for (channel, places) in row.chunks_exact_mut(COLUMNS / CHANNELS).enumerate() {
        let (mut sum, mut squares, mut differences) = (0i32, 0u64, 0u32);
        let (mut min, mut max, mut last) = (i16::MAX, i16::MIN, None);
        for sample in window {
            let value = sample.get(channel).copied().unwrap_or(0);
            sum += i32::from(value);
            squares += u64::from(i32::from(value).pow(2).unsigned_abs());
            differences += u32::from(value.abs_diff(last.unwrap_or(value)));
            (min, max, last) = (min.min(value), max.max(value), Some(value));
        }
        let features = [FEATURES];
        for (place, feature) in places.iter_mut().zip(features) {
            *place = f64::from(feature);
        }
    }
    row
}

/// Rounds a quotient to nearest, halves up.
fn quotient(dividend: u32, divisor: u32) -> i32 {
    let quotient = dividend.checked_div(divisor).unwrap_or(0);
    let rest = dividend - quotient * divisor;
    let is_up = divisor > 0 && rest >= divisor - rest;
    (quotient + u32::from(is_up)) as i32
}

/// Returns the root of `square`, divided by the number of samples.
fn rooted(square: u64) -> i32 {
    quotient((4 * square).isqrt() as u32, 2 * WINDOW as u32).min(0x7fff)
}
";

const RUST_SAMPLE: &str = "
/// Returns the sample of a channel at a value in the unit of the training data.
pub fn sample(channel: usize, value: f64) -> i16 {
    let scaled = value / FULL_SCALES.get(channel).copied().unwrap_or(1.0) * 32_768.0;
    let whole = scaled as i32;
    let rest = scaled - f64::from(whole);
    let rounded = whole.saturating_add(i32::from(rest >= 0.5) - i32::from(rest <= -0.5));
    rounded.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}
";

const C: &str = "
/* Rounds a quotient to nearest, halves up. */
static inline int32_t model_quotient(uint32_t dividend, uint32_t divisor)
{
    uint32_t quotient = divisor ? dividend / divisor : 0;
    uint32_t rest = dividend - quotient * divisor;
    return (int32_t)(quotient + (divisor && rest >= divisor - rest));
}

/* Returns the root of a square, divided by the number of samples. */
static inline int32_t model_rooted(uint64_t square)
{
    uint64_t root = 0;
    for (int bit = 31; bit >= 0; bit--) {
        uint64_t next = root | (uint64_t)1 << bit;
        root = next * next <= 4 * square ? next : root;
    }
    int32_t feature = model_quotient((uint32_t)root, 2 * MODEL_WINDOW);
    return feature < 0x7fff ? feature : 0x7fff;
}

/* Computes a row from a window of samples, in the integers of a sensor whose full scale is 2^15: the value of each
   channel, and so on for each of the MODEL_WINDOW times. */
static inline void model_features(
    const int16_t window[MODEL_WINDOW * MODEL_CHANNELS], double row[MODEL_COLUMNS])
{
    const uint32_t n = MODEL_WINDOW;
    for (int channel = 0; channel < MODEL_CHANNELS; channel++) {
        int32_t sum = 0, min = window[channel], max = min, last = min;
        uint64_t squares = 0;
        uint32_t differences = 0;
        for (uint32_t t = 0; t < n; t++) {
            int32_t value = window[t * MODEL_CHANNELS + channel];
            sum += value;
            squares += (uint64_t)((int64_t)value * value);
            differences += (uint32_t)(value < last ? last - value : value - last);
            min = value < min ? value : min;
            max = value > max ? value : max;
            last = value;
        }
        const uint32_t magnitude = (uint32_t)(sum < 0 ? -sum : sum);
        const int32_t mean = model_quotient(magnitude, n), mad = model_quotient(differences, n - 1);
        const int32_t features[] = { FEATURES };
        for (int k = 0; k < MODEL_COLUMNS / MODEL_CHANNELS; k++) {
            row[channel * (MODEL_COLUMNS / MODEL_CHANNELS) + k] = features[k];
        }
        (void)squares, (void)mean, (void)mad;
    }
}
";

const C_SAMPLE: &str = "
/* Returns the sample of a channel at a value in the unit of the training data. */
static inline int16_t model_sample(int channel, double value)
{
    double scaled = value / model_full_scales[channel] * 32768.0;
    if (!(scaled > -32768.0)) {
        return scaled != scaled ? 0 : -32768;
    }
    int32_t whole = scaled < 32767.0 ? (int32_t)scaled : 32767;
    double rest = scaled - whole;
    return (int16_t)(whole == 32767 ? whole : whole + (rest >= 0.5) - (rest <= -0.5));
}
";

/// Returns the part of a Rust module that makes a row of a window.
pub(super) fn rust(windows: &Windows) -> String {
    let features = windows.features.iter().map(|feature| match feature {
        Feature::Mean => "quotient(sum.unsigned_abs(), N) * sum.signum()",
        Feature::Deviation => {
            "rooted(u64::from(N) * squares - u64::from(sum.unsigned_abs()).pow(2))"
        }
        Feature::Difference => "quotient(differences, N - 1).min(0x7fff)",
        Feature::Min => "i32::from(min)",
        Feature::Max => "i32::from(max)",
        Feature::Rms => "rooted(u64::from(N) * squares)",
    });
    let Windows { channels, window, hop, .. } = windows;
    let hertz = f64::from(windows.rate_millihertz) / 1000.0;
    let mut code = format!(
        "\n/// Number of values of a sample.\npub const CHANNELS: usize = {};\n\
         /// Number of samples in a window, {hertz} per second.\npub const WINDOW: usize = {window};\n\
         /// Number of samples from the start of a window to that of the next.\npub const HOP: usize = {hop};\n",
        channels.len()
    );
    if let Some(full_scales) = full_scales(windows) {
        let scales: Vec<_> = full_scales.iter().map(|scale| format!("{scale:?}")).collect();
        writeln!(
            code,
            "/// Values at the full scale of the channels, in the unit of the training data.\n\
             const FULL_SCALES: [f64; CHANNELS] = [{}];",
            scales.join(", ")
        )
        .expect("writing to a string");
        code.push_str(RUST_SAMPLE);
    }
    let features: Vec<_> = features.collect();
    code + &RUST.replace("[FEATURES]", &format!("[{}]", features.join(", ")))
}

/// Returns the part of a C header that makes a row of a window.
pub(super) fn c(windows: &Windows) -> String {
    let features = windows.features.iter().map(|feature| match feature {
        Feature::Mean => "sum < 0 ? -mean : mean",
        Feature::Deviation => "model_rooted(n * squares - (uint64_t)magnitude * magnitude)",
        Feature::Difference => "mad < 0x7fff ? mad : 0x7fff",
        Feature::Min => "min",
        Feature::Max => "max",
        Feature::Rms => "model_rooted(n * squares)",
    });
    let Windows { channels, window, hop, .. } = windows;
    let hertz = f64::from(windows.rate_millihertz) / 1000.0;
    let mut code = format!(
        "\n#define MODEL_CHANNELS {} /* values of a sample */\n\
         #define MODEL_WINDOW {window} /* samples in a window, {hertz} per second */\n\
         #define MODEL_HOP {hop} /* samples from the start of a window to that of the next */\n",
        channels.len()
    );
    if let Some(full_scales) = full_scales(windows) {
        code.push_str("\n/* Values at the full scale, in the unit of the training data. */\n");
        code.push_str("static const double model_full_scales[MODEL_CHANNELS] = {\n");
        for (channel, scale) in windows.channels.iter().zip(full_scales) {
            writeln!(code, "    {scale:e}, /* {} */", comment(&channel.name))
                .expect("writing to a string");
        }
        code.push_str("};\n");
        code.push_str(C_SAMPLE);
    }
    let features: Vec<_> = features.collect();
    code + &C.replace("FEATURES", &features.join(", "))
}

/// Returns the full scales of the channels; `None` if samples are in the integers of the sensor.
pub(super) fn full_scales(windows: &Windows) -> Option<Vec<f64>> {
    windows.channels.iter().map(|channel| channel.full_scale).collect()
}
