// A rate that was counted, its Monte Carlo error, and whether it is within its aim.

export interface Rate {
  readonly hits: number;
  readonly of: number;
}

/** What a rate should be, 0..1. */
export interface Aim {
  readonly least?: number;
  readonly most?: number;
  /**
   * The limit is what the method promises, not one with room: a rate at it lies beyond it by chance
   * every other time, so it is missed only by more than two standard errors.
   */
  readonly isPromise?: boolean;
}

export type Verdict = "within" | "missed";

export function addRate({ hits, of }: Rate, isHit: boolean): Rate {
  return { hits: hits + (isHit ? 1 : 0), of: of + 1 };
}

export function sumOfRates(a: Rate, b: Rate): Rate {
  return { hits: a.hits + b.hits, of: a.of + b.of };
}

/** 0..1; undefined: nothing was counted. */
export function shareOf({ hits, of }: Rate): number | undefined {
  return of === 0 ? undefined : hits / of;
}

/** Standard error of the share: sqrt(p (1 - p) / n). @example { hits: 95, of: 100 }: 0.0218 */
export function errorOf(rate: Rate): number | undefined {
  const share = shareOf(rate);
  return share === undefined ? undefined : Math.sqrt((share * (1 - share)) / rate.of);
}

/** undefined: nothing was counted. */
export function verdictOf(rate: Rate, aim: Aim): Verdict | undefined {
  const share = shareOf(rate);
  const error = errorOf(rate);
  if (share === undefined || error === undefined) return undefined;
  const slack = aim.isPromise === true ? 2 * error : 0;
  const isWithin = share >= (aim.least ?? 0) - slack && share <= (aim.most ?? 1) + slack;
  return isWithin ? "within" : "missed";
}
