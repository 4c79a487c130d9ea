// The order in which words, entries and samples are taken: seeded, and in linear time, since a
// vocabulary or a dataset is long.
import { seededRandom } from "../experiment/random.ts";

/** A copy in an order that the seed decides; every order is as likely (Fisher-Yates). */
export function seededOrder<Item>(items: readonly Item[], seed: string): readonly Item[] {
  const random = seededRandom(seed);
  const order = [...items];
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    const [here, there] = [order[last], order[other]];
    if (here === undefined || there === undefined) continue;
    order[last] = there;
    order[other] = here;
  }
  return order;
}
