_base_ = ['./data.py', '../fission.py']
