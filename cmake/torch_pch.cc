// The one translation unit that carries the precompiled LibTorch headers; see cmake/LibTorch.cmake.
