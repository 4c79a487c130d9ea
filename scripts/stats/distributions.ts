// Student t and binomial, both through the regularized incomplete beta function, because the
// statistics package offers neither. Held to scipy's values (fixtures/golden.json) within 1e-9.

/**
 * Natural logarithm of the gamma function for x > 0, relative error about 1e-15.
 * Lanczos' approximation with g = 7 and nine terms (Godfrey 2001).
 */
export function logGamma(x: number): number {
  const terms = [
    676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406,
    12.507343278686905, -0.13857109526572012, 9.984369578019572e-6, 1.5056327351493116e-7,
  ];
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  let sum = 0.9999999999998099;
  for (const [i, term] of terms.entries()) sum += term / (x + i);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

/**
 * Regularized incomplete beta function I_x(a, b) for a, b > 0 and x in 0..1.
 * Continued fraction, evaluated by Lentz's method (Numerical Recipes, 3rd ed., 6.4).
 */
export function regularizedBeta(x: number, a: number, b: number): number {
  if (!(a > 0 && b > 0 && x >= 0 && x <= 1)) {
    throw new RangeError(`no incomplete beta at x = ${x}, a = ${a}, b = ${b}`);
  }
  if (x === 0 || x === 1) return x;
  // The fraction converges fast on this side; the other follows by symmetry.
  if (x > (a + 1) / (a + b + 2)) return 1 - regularizedBeta(1 - x, b, a);
  const logFront =
    logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x);
  return (Math.exp(logFront) * betaFraction(x, a, b)) / a;
}

function betaFraction(x: number, a: number, b: number): number {
  const tiny = 1e-300;
  const away = (value: number): number => (Math.abs(value) < tiny ? tiny : value);
  let c = 1;
  let d = 1 / away(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  // It takes about sqrt(max(a, b)) steps: a million samples need a few thousand.
  for (let m = 1; m <= 1_000_000; m += 1) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    fraction *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    const factor = d * c;
    fraction *= factor;
    if (Math.abs(factor - 1) < 1e-15) return fraction;
  }
  throw new RangeError(`the incomplete beta did not converge at x = ${x}, a = ${a}, b = ${b}`);
}

/**
 * P(|T| >= |t|) of Student's t with `df` degrees of freedom (need not be whole).
 *
 * @example studentTwoSided(12.706204736174694, 1) // 0.05
 */
export function studentTwoSided(t: number, df: number): number {
  if (!(df > 0)) throw new RangeError(`degrees of freedom must be above 0, got ${df}`);
  if (!Number.isFinite(t)) return 0;
  return regularizedBeta(df / (df + t * t), df / 2, 0.5);
}

/**
 * The t with P(T <= t) = p, 0 < p < 1, by bisection on the two-sided tail.
 *
 * @example studentQuantile(0.975, 9) // 2.262157162798205
 */
export function studentQuantile(p: number, df: number): number {
  if (!(p > 0 && p < 1)) throw new RangeError(`a quantile of t needs 0 < p < 1, got ${p}`);
  if (p < 0.5) return -studentQuantile(1 - p, df);
  const tail = 2 * (1 - p);
  let low = 0;
  let high = 1;
  while (studentTwoSided(high, df) > tail) {
    low = high;
    high *= 2;
  }
  for (;;) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) return middle;
    if (studentTwoSided(middle, df) > tail) low = middle;
    else high = middle;
  }
}

/** P(X <= k) of X ~ Bin(n, p), k any whole number, n >= 0, 0 < p < 1. */
export function binomialCdf(k: number, n: number, p: number): number {
  if (k < 0) return 0;
  if (k >= n) return 1;
  return regularizedBeta(1 - p, n - k, k + 1);
}

/** Ranks, from 1, of the samples that bound a quantile; `low` 0 or `high` n + 1: out of the sample. */
export interface QuantileRanks {
  readonly low: number;
  readonly high: number;
}

/**
 * Ranks l and u of the ordered sample between which the p-quantile lies with at least 95 %:
 * l = max{k: P(Bin(n, p) <= k - 1) <= 0.025}, u = min{k: P(Bin(n, p) >= k) <= 0.025}.
 * David and Nagaraja, Order Statistics, 7.1.
 *
 * @example quantileRanks(100, 0.9) // { low: 84, high: 96 }
 */
export function quantileRanks(n: number, p: number): QuantileRanks {
  const tail = 0.025;
  const low = lastWhere(0, n + 1, (k) => binomialCdf(k - 1, n, p) <= tail);
  const high = lastWhere(0, n + 1, (k) => 1 - binomialCdf(k - 1, n, p) > tail) + 1;
  return { low, high: Math.min(high, n + 1) };
}

/** The last k in from..to for which `holds`, which is true up to some k and false after it. */
function lastWhere(from: number, to: number, holds: (k: number) => boolean): number {
  let yes = from;
  let no = to + 1;
  while (no - yes > 1) {
    const middle = Math.floor((yes + no) / 2);
    if (holds(middle)) yes = middle;
    else no = middle;
  }
  return yes;
}
