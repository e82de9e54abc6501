from setuptools import find_packages, setup

# The demo albums live in datasets/ and are installed as the data package ovss_personal.demo_data.
setup(
    packages=[*find_packages(include=["ovss_personal*"]), "ovss_personal.demo_data"],
    package_dir={"ovss_personal.demo_data": "datasets/demo"},
)
