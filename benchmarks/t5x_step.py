"""Times T5X's training step of MT3's network; benchmarks/training.py runs this in a Python that has t5x.

    python benchmarks/t5x_step.py BATCH NETWORK STEPS [MT3]

BATCH is a npz of `frames` float32 [B, F, M] and `targets` int32 [B, T]; NETWORK the sizes as JSON, by the
names of both projects' configs; MT3 a folder that holds MT3's `mt3` package, if that cannot be imported as it
is. The last line of the output is a JSON object: medians of wall and CPU seconds a step, losses a token, the
version of JAX.

T5X's own `trainer.train_with_lr` is jitted, with its Adafactor and MT3's settings. Spectrograms are not part
of it: in T5X's workflow the input pipeline makes them.
"""

import json
import statistics
import sys
import time
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SIZES = ("emb_dim", "num_heads", "head_dim", "mlp_dim", "num_encoder_layers", "num_decoder_layers")


def main() -> None:
    path, network, steps, *mt3 = sys.argv[1:]
    if mt3:
        # Without the package's own imports: all data sets and tasks.
        package = types.ModuleType("mt3")
        package.__path__ = [f"{mt3[0]}/mt3"]
        sys.modules["mt3"] = package
    stored, sizes = dict(np.load(path)), json.loads(network)
    state, step = prepare(sizes, stored["frames"].shape, stored["targets"].shape)
    batch = {
        "encoder_input_tokens": jnp.asarray(stored["frames"], sizes["dtype"]),
        "decoder_target_tokens": jnp.asarray(stored["targets"]),
        "decoder_input_tokens": jnp.asarray(np.pad(stored["targets"][:, :-1], ((0, 0), (1, 0)))),
        "decoder_loss_weights": jnp.asarray(stored["targets"] > 0, jnp.int32),
    }
    wall, cpu, losses = [], [], []
    for _ in range(int(steps) + 1):
        begin = time.perf_counter(), time.process_time()
        state, loss = step(state, batch)
        jax.block_until_ready((state, loss))
        wall.append(time.perf_counter() - begin[0])
        cpu.append(time.process_time() - begin[1])
        losses.append(float(loss) / int(batch["decoder_loss_weights"].sum()))
    medians = {"wall": statistics.median(wall[1:]), "cpu": statistics.median(cpu[1:])}  # the first compiles
    print(json.dumps({**medians, "losses": losses, "jax": f"JAX {jax.__version__}"}))


def prepare(sizes: dict[str, Any], frames: tuple[int, ...], targets: tuple[int, ...]) -> tuple[Any, Any]:
    """T5X's training state, and the jitted step `(state, batch) -> (state, summed loss)`."""
    import seqio  # pyright: ignore[reportMissingImports]
    from mt3 import models, network  # pyright: ignore[reportMissingImports]
    from t5x import adafactor, train_state, trainer  # pyright: ignore[reportMissingImports]

    config = network.T5Config(
        vocab_size=sizes["vocab_size"],
        dtype=sizes["dtype"],
        mlp_activations=tuple(sizes["mlp_activations"]),
        dropout_rate=sizes["dropout_rate"],
        **{name: sizes[name] for name in SIZES},
    )
    rules = adafactor.standard_logical_factor_rules()
    model = models.ContinuousInputsEncoderDecoderModel(
        module=network.Transformer(config=config),
        input_vocabulary=seqio.PassThroughVocabulary(size=0),
        output_vocabulary=seqio.PassThroughVocabulary(size=sizes["vocab_size"]),
        optimizer_def=adafactor.Adafactor(decay_rate=0.8, step_offset=0, logical_factor_rules=rules),
        input_depth=sizes["input_depth"],
        z_loss=1e-4,
    )
    shapes = {
        "encoder_input_tokens": frames,
        "decoder_input_tokens": targets,
        "decoder_target_tokens": targets,
    }
    variables = jax.jit(lambda key: model.get_initial_variables(key, shapes))(jax.random.PRNGKey(0))
    state = train_state.FlaxOptimTrainState.create(model.optimizer_def, variables)

    def step(state: Any, batch: dict[str, jax.Array]) -> tuple[Any, jax.Array]:
        key = jax.random.fold_in(jax.random.PRNGKey(1), state.step)
        state, metrics = trainer.train_with_lr(
            state, batch, jnp.float32(1e-3), key, model, num_microbatches=None
        )
        return state, metrics["loss"].total

    return state, jax.jit(step, donate_argnums=0)


if __name__ == "__main__":
    main()
