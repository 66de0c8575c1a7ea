"""Where the `insitu` process begins: nothing is imported before Ctrl-C is understood."""

import sys

STOPPED = 130  # 128 + SIGINT, as a shell reports it


def main() -> None:
    """Run the command line of this process and end with its exit code."""
    try:
        from cli.program import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = STOPPED
    sys.exit(code)


if __name__ == "__main__":
    main()
