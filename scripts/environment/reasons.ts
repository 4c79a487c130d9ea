// Why a field has no value: a closed list of sentences, so that a record can say each of them in its
// own language (the dictionary in templates/ is keyed by these texts).

export const reasons = {
  fileMissing: "the file is not there",
  fileUnreadable: "the file could not be read",
  fileUnexpected: "the file does not say it in a form that is known",
  timedOut: "the probe did not answer within its time limit",
  probeFailed: "the probe failed; its raw output is kept",
  notThisSystem: "this operating system does not show it",

  noGovernor: "the kernel shows no CPU frequency governor, as is usual in a virtual machine",
  noSmtControl: "the kernel shows no SMT control",
  noThp: "the kernel has no transparent huge pages",
  noCgroup: "no control group limits this process",
  noCpuLimit: "no CPU limit is set",
  noMemoryLimit: "no memory limit is set",
  noCpuThrottling: "the control group keeps no throttling counter",
  noDmi: "the machine shows no DMI tables",
  noCloudInDmi: "the DMI tables name no cloud vendor",
  noNtpAnswer: "neither timedatectl nor chronyc answered",

  noGpu: "no GPU found",
  otherVendorGpu: "an accelerator of another vendor is present; only NVIDIA is read",
  noNvidiaSmi: "an NVIDIA device is present, but nvidia-smi is not installed",
  nvidiaSmiHangs: "nvidia-smi did not answer within its time limit",
  nvidiaSmiNoDevices: "nvidia-smi found no devices (exit code 6)",
  nvidiaSmiNoDriver: "nvidia-smi could not reach the NVIDIA driver (exit code 9)",
  nvidiaSmiMismatch: "driver and library versions do not match (nvidia-smi exit code 18)",
  nvidiaSmiFails: "nvidia-smi failed; its raw output is kept",
  nvidiaSmiUnexpected: "nvidia-smi answered in a form that is not known; its raw output is kept",
  gpuNotSupported: "the GPU or its driver does not support it",
  gpuUnknownError: "the driver answered with an error",
  gpuNotRead: "this version does not read it",

  noPythonEmbedded: "the embedded engine has no Python",
  pythonNotAsked: "the engine's Python interpreter was not asked",
  noEngine: "no engine is under test",

  notStarted: "the engine was not running when this was read",
  notDisclosed: "the engine does not say",
  notLaunchedHere: "the engine was started by somebody else",
  noEngineEnv: "no environment variable was set for the engine",

  noModelFolder: "the model is known only by the name under which the engine serves it",
  noConfigJson: "the model folder has no config.json",
  configSilent: "the model's config.json does not say",
  noQuantization: "the model's configuration names no quantization",
  noWeights: "the model folder has no weight files",
  noRevision: "a local folder without a hub revision; the weights digest identifies it",
  noTokenizer: "no tokenizer file was found",
  noChatTemplate: "the tokenizer has no chat template",
  noGenerationConfig: "the model has no generation_config.json",
  parametersUncertain: "the weight files do not tell it with certainty",

  notARepository: "benchbook does not run from a git checkout",
  projectNotARepository: "the project folder is not in a git repository",
  noGit: "git is not installed",
  gitFailed: "git failed; its raw output is kept",
  noLockFile: "benchbook was installed without a lock file",

  notStated: "not stated in the experiment file",
  looksSecret: "its name or its form is that of a secret",
} as const;

export type Reason = (typeof reasons)[keyof typeof reasons];
