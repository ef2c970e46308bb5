_base_ = ['./data.py', '../distill.py']
