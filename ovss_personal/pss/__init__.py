"""The group-context backend: one person's unlabelled album, segmented better because its photos resemble each other.

After "Personalized Image Semantic Segmentation" (ICCV 2021); `README.md` beside this file tells how to use it.
"""
