# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#   "torch==2.13.0",
#   "transformers==4.57.6",
#   "optimum==2.1.0",
#   "optimum-onnx==0.1.0",
#   "onnx==1.23.2",
#   "onnxruntime==1.32.0",
#   "tokenizers==0.22.2",
#   "numpy==2.4.6",
# ]
# ///
"""Turns corpus.txt and a seed into tiny-qwen3/: a Qwen3 with random weights and a tokenizer of
2048 tokens, as ONNX in fp32 and q8. It stands in for a served model: it measures the whole path
truthfully and says nothing about language.

    python make-tiny-qwen3.py [--corpus corpus.txt] [--out tiny-qwen3] [--seed 20260101]
"""

import argparse
import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from optimum.exporters.onnx import main_export
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

HERE = Path(__file__).parent
END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VOCABULARY = 2048
CONTEXT = 4096

# How Qwen's tokenizers cut text before BPE: contractions, words with the sign before them, single
# digits, punctuation, line ends, spaces.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CHATML = (
    "{%- for message in messages -%}"
    r"{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' -}}"
    "{%- endfor -%}"
    r"{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)


def main() -> None:
    options = parse_options()
    corpus = options.corpus.read_text(encoding="utf-8")
    tokenizer = train_tokenizer(corpus)
    model = random_model(tokenizer, options.seed)
    write_model(tokenizer, model, options.out)
    report(tokenizer, corpus, model, options.out)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=HERE / "corpus.txt", help="text that the tokenizer learns")
    parser.add_argument("--out", type=Path, default=HERE / "tiny-qwen3", help="folder to write; replaced if it exists")
    parser.add_argument("--seed", type=int, default=20260101, help="seed of the weights")
    return parser.parse_args()


def train_tokenizer(corpus: str) -> Tokenizer:
    """A byte-level BPE. English lines count twice: a Chinese character costs up to two merges of
    bytes before the first word is learned, and prompts are built of English words of one token."""
    lines = [line for line in corpus.splitlines() if line]
    weighted = [line for line in lines for _ in range(1 if re.search("[\u4e00-\u9fff]", line) else 2)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [END_OF_TEXT, TURN_START, TURN_END]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(weighted, trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    assert tokenizer.get_vocab_size() == VOCABULARY, tokenizer.get_vocab_size()
    return tokenizer


def random_model(tokenizer: Tokenizer, seed: int) -> Qwen3ForCausalLM:
    """Random weights, with two changes that make its text behave like a served model's: its logits
    are spread (a trained model is seldom undecided), and tokens that are only a part of a
    character, or a control character, are seldom chosen (a trained model writes readable text).
    The end of a turn stays as likely as any word."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        rope_theta=1_000_000.0,
        tie_word_embeddings=True,
        initializer_range=0.08,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(TURN_END),
        pad_token_id=tokenizer.token_to_id(END_OF_TEXT),
    )
    model = Qwen3ForCausalLM(config).eval()
    turn_end = tokenizer.token_to_id(TURN_END)
    silent = [
        token
        for token in range(VOCABULARY)
        if token != turn_end and not is_readable(tokenizer, token)
    ]
    with torch.no_grad():
        model.model.norm.weight.fill_(4.0)
        model.model.embed_tokens.weight[silent] *= 0.1
    model.generation_config = GenerationConfig(
        eos_token_id=[tokenizer.token_to_id(TURN_END), tokenizer.token_to_id(END_OF_TEXT)],
        pad_token_id=tokenizer.token_to_id(END_OF_TEXT),
    )
    return model


def is_readable(tokenizer: Tokenizer, token: int) -> bool:
    text = tokenizer.decode([token], skip_special_tokens=True)
    return text != "" and all(sign in "\n\t" or (sign.isprintable() and sign != "\ufffd") for sign in text)


def write_model(tokenizer: Tokenizer, model: Qwen3ForCausalLM, out: Path) -> None:
    """Writes only what the engine and the tokenizer read; the exporter leaves more behind."""
    shutil.rmtree(out, ignore_errors=True)
    (out / "onnx").mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint, exported = Path(scratch) / "checkpoint", Path(scratch) / "exported"
        model.save_pretrained(checkpoint)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(checkpoint)
        main_export(str(checkpoint), exported, task="text-generation-with-past")
        onnx.save(slim_outputs(onnx.load(exported / "model.onnx")), out / "onnx" / "model.onnx")
        quantize_dynamic(
            out / "onnx" / "model.onnx", out / "onnx" / "model_quantized.onnx", weight_type=QuantType.QInt8
        )
        for name in ("config.json", "generation_config.json"):
            shutil.copyfile(checkpoint / name, out / name)
    tokenizer.save(str(out / "tokenizer.json"))
    settings = {
        "tokenizer_class": "Qwen2Tokenizer",
        "model_max_length": CONTEXT,
        "add_prefix_space": False,
        "add_bos_token": False,
        "bos_token": None,
        "eos_token": TURN_END,
        "pad_token": END_OF_TEXT,
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHATML,
    }
    text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
    (out / "tokenizer_config.json").write_text(text, encoding="utf-8")


def slim_outputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """Gives out only what a pass has made new: the keys and values of the tokens it read, instead
    of all so far, and the logits after the last of them, instead of after each. What goes in stays
    the same. At sixteen streams, copying the old keys and values out of the runtime at every step
    took longer than the step."""
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    for output in graph.output:
        if not output.name.startswith("present."):
            continue
        # past and new are joined for the attention; the new ones are the second input.
        joined = producers[output.name]
        assert joined.op_type == "Concat" and joined.input[0].startswith("past_key_values.")
        inner = output.name + ".joined"
        for node in graph.node:
            for place, name in enumerate(node.input):
                if name == output.name:
                    node.input[place] = inner
        joined.output[0] = inner
        graph.node.append(onnx.helper.make_node("Identity", [joined.input[1]], [output.name]))
        output.type.tensor_type.shape.dim[2].dim_param = "sequence_length"
    # The output layer is the last product; it sees only the last place: [rows, 1, hidden].
    head = producers["logits"]
    assert head.op_type == "MatMul"
    last = onnx.helper.make_tensor("last_place", onnx.TensorProto.INT64, [1], [-1])
    graph.initializer.append(last)
    graph.node.insert(
        list(graph.node).index(head),
        onnx.helper.make_node("Gather", [head.input[0], "last_place"], ["last_hidden"], axis=1),
    )
    head.input[0] = "last_hidden"
    (logits,) = [output for output in graph.output if output.name == "logits"]
    logits.type.tensor_type.shape.dim[1].dim_value = 1
    onnx.checker.check_model(model, full_check=True)
    return model


def report(tokenizer: Tokenizer, corpus: str, model: Qwen3ForCausalLM, out: Path) -> None:
    words = sorted(set(re.findall(r"\b[a-z]{2,}\b", corpus)))
    whole = [word for word in words if len(tokenizer.encode(" " + word).ids) == 1]
    print(f"parameters: {model.num_parameters()}")
    print(f"English words that are one token with a leading space: {len(whole)} of {len(words)} in the corpus")
    for path in sorted(file for file in out.rglob("*") if file.is_file()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{digest}  {path.relative_to(out).as_posix()}  {path.stat().st_size}")


if __name__ == "__main__":
    main()
