// Prompts of exact length, unique from the first token on, the same for every variant compared.

/** One request, ready to send. */
export interface PreparedRequest {
  /** The JSON body, UTF-8. */
  readonly body: Buffer;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** First 16 hex of the sha256 of the prompt. */
  readonly promptDigest: string;
}

/** Gives the i-th request of a trial; the same i gives the same request. */
export type RequestSource = (index: number) => PreparedRequest;
