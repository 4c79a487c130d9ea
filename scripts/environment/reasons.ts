// Why a field has no value: a closed list of sentences, so that a record can say each of them in its
// own language (the dictionary in templates/ is keyed by these texts).

export const reasons = {
  fileMissing: "the file is not there",
  fileUnreadable: "the file could not be read",
  fileUnexpected: "the file does not say it in a form that is known",
  timedOut: "the probe did not answer within its time limit",
  probeFailed: "the probe failed; its raw output is kept",
  notThisSystem: "this operating system does not show it",

  hostUnreachable: "the engine's host could not be reached",
  hostFromFile:
    "the engine's host is known by a snapshot file, which is read before and after a run",
  engineElsewhere: "an engine runs on another host, and the GPUs of this one are not its own",
  hostFileUnchanged: "the snapshot file of the engine's host was not made anew after the run",
  hostFileOfAnother: "the snapshot file now describes another machine",
  coarseClock: "the clock there tells no parts of a second",

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
  noNvidiaSmi:
    "an NVIDIA device is present, but nvidia-smi is not installed; install the driver's utilities",
  nvidiaSmiHangs:
    "nvidia-smi did not answer within its time limit; look for Xid messages in the kernel log, then reset the GPU or reboot",
  nvidiaSmiNoDevices:
    "nvidia-smi found no devices (exit code 6); check the passthrough or the container's GPU option",
  nvidiaSmiNoDriver:
    "nvidia-smi could not reach the NVIDIA driver (exit code 9); load it with modprobe nvidia",
  nvidiaSmiNoLibrary:
    "nvidia-smi did not find the NVML library (exit code 12); reinstall the driver's utilities",
  nvidiaSmiMismatch:
    "driver and library versions do not match (nvidia-smi exit code 18); reboot after the driver update",
  nvidiaSmiGpuLost:
    "a GPU is lost from the bus (nvidia-smi exit code 15); look for Xid messages in the kernel log and reboot",
  nvidiaSmiNoPermission:
    "nvidia-smi was not permitted to ask the driver (exit code 4); run as a user who may open /dev/nvidia*",
  nvidiaSmiFails: "nvidia-smi failed; its raw output is kept",
  nvidiaSmiUnexpected: "nvidia-smi answered in a form that is not known; its raw output is kept",
  noAmdSmi:
    "an AMD accelerator is present, but neither amd-smi nor rocm-smi answered; install ROCm's tools",
  noNpuSmi: "an Ascend accelerator is present, but npu-smi did not answer; install the NPU driver",
  vendorToolUnexpected:
    "the vendor's tool answered in a form that is not known; its raw output is kept",
  gpuNotSupported: "the GPU or its driver does not support it",
  notThisVendor: "the tool of the GPU's vendor knows no such thing",
  gpuDeprecated: "the driver no longer offers it",
  gpuUnknownError: "the driver answered with an error",
  gpuNotSaid: "the output of the GPU's tool does not hold it",
  noVgpu: "the GPU is no vGPU",
  vgpuTimeSliced: "the vGPU shares the GPU by time, not by MIG slices",
  nothingToReach: "one GPU and no network adapter: there is nothing to reach",
  noKernelLog: "the kernel log could not be read; it takes root or the group systemd-journal",
  noXid: "no Xid was logged since the machine started",

  noPythonEmbedded: "the embedded engine has no Python",
  pythonNotAsked: "the engine's Python interpreter was not asked",
  pythonOutOfReach: "the engine's Python interpreter is out of reach",
  noInterpreter: "the engine's Python interpreter was not found",
  packageNotInstalled: "it is not installed in the engine's Python",
  torchWithoutCuda: "this build of PyTorch has no CUDA",
  noEngine: "no engine is under test",

  notStarted: "the engine was not running when this was read",
  notDisclosed: "the engine does not say",
  notLaunchedHere: "the engine was started by somebody else",
  noEngineEnv: "no environment variable was set for the engine",
  noContainer: "the engine runs in no container",
  containerUnknown: "whether the engine runs in a container is not known",
  defaultArguments: "the engine was started with its defaults",

  modelNotCached: "no folder and no hub cache on that machine holds the model",
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
