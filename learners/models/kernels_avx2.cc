// The kernels for CPUs with AVX2 and fused multiply-add; learners/CMakeLists.txt gives this file its compiler options.
#if defined(__x86_64__)
#define FRESHET_KERNELS kAvx2Kernels
#define FRESHET_KERNELS_NAME "avx2"
#define FRESHET_VECTOR_FLOATS 8
#define FRESHET_ROWS_4 0
#define FRESHET_ROWS_2 6
#define FRESHET_ROWS_1 8
#include "learners/models/kernels_body.h"
#endif
