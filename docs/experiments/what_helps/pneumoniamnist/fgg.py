_base_ = ['./data.py', '../plan.py']
