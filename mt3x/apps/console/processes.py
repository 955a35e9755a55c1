"""Flags of commands that several processes can run together; T5X names those of what one of them is told."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `--multihost`, `--coordinator_address`, `--process_count` and `--process_index`."""
    parser.add_argument(
        "--multihost",
        action="store_true",
        help="one of several processes, which the cluster tells of each other (Cloud TPU, SLURM, ...)",
    )
    parser.add_argument("--coordinator_address", metavar="HOST:PORT", help="of process 0, for one of several")
    parser.add_argument("--process_count", type=int, help="how many processes work together")
    parser.add_argument("--process_index", type=int, help="which of them this is, from 0")


def join(args: argparse.Namespace) -> None:
    """Finds the other processes, if there are to be any; before anything else is asked of JAX.

    Raises:
      ValueError, RuntimeError: as `training.mesh.join_processes`.
    """
    from mt3x.training.mesh import join_processes

    told = args.coordinator_address, args.process_count, args.process_index
    if args.multihost or told != (None, None, None):
        join_processes(*told)
