"""`python -m ovss_personal`: the same as `ovss-personal`."""

from ovss_personal.cli import main

if __name__ == "__main__":
    main()
