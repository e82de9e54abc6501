from setuptools import find_packages, setup

# Data outside the package's folder, and the data package as which it is installed.
DATA = {"ovss_personal.demo_data": "datasets/demo", "ovss_personal.third_party": "third_party"}

setup(packages=[*find_packages(include=["ovss_personal*"]), *DATA], package_dir=DATA)
