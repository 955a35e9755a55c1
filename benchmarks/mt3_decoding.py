"""Times MT3's own decoding of segments; benchmarks/transcribe.py runs this in a Python that has t5x.

    python benchmarks/mt3_decoding.py WORK NETWORK SEARCH REPEATS MT3

WORK is a folder with `weights.npz`, arrays by T5X's names, and `segments.npz`: `frames` float32 [S, F, M], of
which batches of `batch` segments are made, `lengths` int32 [S] of the ids each shall get, the end included,
and `max_length`, which MT3's cache has. NETWORK holds the sizes as JSON; MT3 is the folder of MT3's `mt3`
package. SEARCH is `beam`, what MT3's notebook does (T5X's beam search with one beam), or `greedy` (T5X's
sampling among the one likeliest). Written to WORK: `ids.npz`, `ids` int32 [S, T]. The last line of the output
is a JSON object: medians over repeats of wall and CPU seconds for all batches, the decoder's steps, seconds
to compile.

Ends are forced as decoding_work.py says, in the logits that T5X's search asks MT3's model for.
"""

import json
import statistics
import sys
import time
import types
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SIZES = ("emb_dim", "num_heads", "head_dim", "mlp_dim", "num_encoder_layers", "num_decoder_layers")
EOS_ID, END_MARGIN, FORBIDDEN = 1, 700.0, -1e9


def main() -> None:
    folder, network, search, repeats, mt3 = sys.argv[1:]
    # Without the package's own imports: all data sets and tasks.
    package = types.ModuleType("mt3")
    package.__path__ = [f"{mt3}/mt3"]
    sys.modules["mt3"] = package
    stored = dict(np.load(Path(folder) / "segments.npz"))
    params = nested(dict(np.load(Path(folder) / "weights.npz")))
    batches = make_batches(stored)
    model, steps = make_model(json.loads(network), search)

    @jax.jit
    def predict(params: Any, batch: dict[str, jax.Array]) -> jax.Array:
        inputs = {name: batch[name] for name in ("encoder_input_tokens", "decoder_input_tokens")}
        extra = {"decode_rng": None, "lengths": batch["lengths"]}
        return model.predict_batch_with_aux(params, inputs, decoder_params=extra)[0]

    begin = time.perf_counter()
    compiled = predict.lower(params, batches[0]).compile()
    compile_seconds = time.perf_counter() - begin
    wall, cpu, ids = [], [], []
    for _ in range(int(repeats)):
        steps.clear()
        begin = time.perf_counter(), time.process_time()
        ids = [np.asarray(compiled(params, batch)) for batch in batches]
        jax.effects_barrier()
        wall.append(time.perf_counter() - begin[0])
        cpu.append(time.process_time() - begin[1])
    np.savez(Path(folder) / "ids.npz", ids=np.concatenate(ids))
    medians = {"wall": statistics.median(wall), "cpu": statistics.median(cpu)}
    print(json.dumps({**medians, "steps": len(steps), "compile": compile_seconds, "jax": jax.__version__}))


def nested(flat: dict[str, np.ndarray]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, array in flat.items():
        *folders, leaf = name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[leaf] = jnp.asarray(array)
    return tree


def make_batches(stored: dict[str, np.ndarray]) -> list[dict[str, jax.Array]]:
    size, longest = int(stored["batch"]), int(stored["max_length"])
    return [
        {
            "encoder_input_tokens": jnp.asarray(stored["frames"][start : start + size]),
            "decoder_input_tokens": jnp.zeros((size, longest), jnp.int32),
            "lengths": jnp.asarray(stored["lengths"][start : start + size]),
        }
        for start in range(0, len(stored["frames"]), size)
    ]


def make_model(sizes: dict[str, Any], search: str) -> tuple[Any, list[int]]:
    """MT3's model with T5X's search, and a list that gets an entry at each step of the decoder."""
    import seqio  # pyright: ignore[reportMissingImports]
    from mt3 import models, network  # pyright: ignore[reportMissingImports]
    from t5x import adafactor, decoding  # pyright: ignore[reportMissingImports]

    steps: list[int] = []
    search_ids = {"beam": decoding.beam_search, "greedy": decoding.temperature_sample}[search]

    def decode(tokens_to_logits: Any, lengths: jax.Array, **options: Any) -> Any:
        def forced(state: Any) -> Any:
            logits, cache = tokens_to_logits(state)  # [B, V]
            jax.debug.callback(lambda: steps.append(1))
            at_end = jnp.reshape(state.cur_index, -1) == lengths - 1
            end = jnp.where(at_end, jnp.max(logits, axis=-1) + END_MARGIN, FORBIDDEN)
            return logits.at[:, EOS_ID].set(end), cache

        return search_ids(tokens_to_logits=forced, **options)

    config = network.T5Config(
        vocab_size=sizes["vocab_size"],
        dtype=sizes["dtype"],
        mlp_activations=tuple(sizes["mlp_activations"]),
        **{name: sizes[name] for name in SIZES},
    )
    model = models.ContinuousInputsEncoderDecoderModel(
        module=network.Transformer(config=config),
        input_vocabulary=seqio.PassThroughVocabulary(size=0),
        output_vocabulary=seqio.PassThroughVocabulary(size=sizes["vocab_size"], eos_id=EOS_ID),
        optimizer_def=adafactor.Adafactor(decay_rate=0.8, step_offset=0),
        input_depth=sizes["input_depth"],
        decode_fn=decode,
    )
    return model, steps


if __name__ == "__main__":
    main()
