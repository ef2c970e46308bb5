_base_ = ['./pool.py', '../../../configs/_base_/models/efficientnet_lite0.py']
