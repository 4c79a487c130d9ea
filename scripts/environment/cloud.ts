// Which cloud a machine belongs to, from the names that vendors write into its DMI tables. No
// metadata service is asked: a probe must not talk to the network.

import {
  known,
  notApplicable,
  notCollected,
  type Reading,
  type Recorder,
  type Text,
} from "./probe.ts";
import { reasons } from "./reasons.ts";

export interface Dmi {
  readonly vendor: string | undefined;
  readonly product: string | undefined;
  readonly assetTag: string | undefined;
  /** "Dell Inc. PowerEdge R760xa". */
  readonly machine: Reading;
}

/** Reads the DMI tables; without a recorder it reads nothing. */
export async function readDmi(record: Recorder | undefined): Promise<Dmi> {
  if (record === undefined)
    return {
      vendor: undefined,
      product: undefined,
      assetTag: undefined,
      machine: notCollected(reasons.noDmi),
    };
  const folder = "/sys/class/dmi/id";
  const [vendor, product, assetTag] = await Promise.all([
    record.read(`${folder}/sys_vendor`),
    record.read(`${folder}/product_name`),
    record.read(`${folder}/chassis_asset_tag`),
  ]);
  const name = [trimmed(vendor), trimmed(product)].filter((text) => text !== undefined).join(" ");
  return {
    vendor: trimmed(vendor),
    product: trimmed(product),
    assetTag: trimmed(assetTag),
    machine: known(name, { rawIndex: product.rawIndex, otherwise: reasons.noDmi }),
  };
}

function trimmed(file: Text): string | undefined {
  const text = file.text?.trim();
  return text === "" ? undefined : text;
}

interface Cloud {
  readonly name: string;
  readonly vendor?: RegExp;
  readonly product?: RegExp;
  readonly assetTag?: RegExp;
  /** Whether the product's name is the instance type, as on Amazon EC2. */
  readonly productIsInstance?: true;
}

const clouds: readonly Cloud[] = [
  { name: "Amazon EC2", vendor: /^Amazon EC2/, productIsInstance: true },
  { name: "Google Compute Engine", vendor: /^Google/, product: /^Google Compute Engine/ },
  { name: "Microsoft Azure", assetTag: /^7783-7084-3265-9085-8269-3286-77$/ },
  { name: "Oracle Cloud", assetTag: /^OracleCloud\.com/ },
  { name: "Alibaba Cloud", vendor: /^Alibaba Cloud/ },
  { name: "Tencent Cloud", vendor: /^Tencent Cloud/ },
  { name: "Huawei Cloud", vendor: /^Huawei Cloud/i },
  { name: "Volcengine", vendor: /^(?:Volcengine|ByteDance)/i },
  { name: "DigitalOcean", vendor: /^DigitalOcean/ },
  { name: "Hetzner", vendor: /^Hetzner/, product: /^vServer/ },
  { name: "Scaleway", vendor: /^Scaleway/ },
  { name: "Vultr", vendor: /^Vultr/ },
  { name: "Akamai Linode", vendor: /^(?:Linode|Akamai)/ },
  { name: "OVHcloud", vendor: /^OVHcloud/i },
];

/** Vendor, and the instance type where the machine says it. */
export function cloudOf({ vendor, product, assetTag, machine }: Dmi): Reading {
  if (vendor === undefined && product === undefined)
    return notCollected(reasons.noDmi, machine.rawIndex);
  const says = (pattern: RegExp | undefined, text: string | undefined): boolean =>
    pattern === undefined || (text !== undefined && pattern.test(text));
  const cloud = clouds.find(
    (it) => says(it.vendor, vendor) && says(it.product, product) && says(it.assetTag, assetTag),
  );
  if (cloud === undefined) return notApplicable(reasons.noCloudInDmi, machine.rawIndex);
  const instance = cloud.productIsInstance && product !== undefined ? `, ${product}` : "";
  return known(`${cloud.name}${instance}`, { rawIndex: machine.rawIndex });
}
