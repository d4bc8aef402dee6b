//! How sure a counted share is.

/// 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// 95 % interval of `right` out of `n`, by Wilson's score method (E. B. Wilson, 1927); (0, 1) for
/// `n` = 0.
///
/// ```
/// let (low, high) = genrescope::statistics::wilson(82, 100);
/// assert!((low - 0.733).abs() < 1e-3 && (high - 0.883).abs() < 1e-3);
/// ```
pub fn wilson(right: u64, n: u64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (n as f64, right as f64 / n as f64);
    let centre = p + Z * Z / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    // The interval holds the share itself, also where rounding would leave it out by a hair.
    (
        ((centre - spread) / scale).clamp(0.0, p),
        ((centre + spread) / scale).clamp(p, 1.0),
    )
}
