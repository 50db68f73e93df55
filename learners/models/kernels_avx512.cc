// The kernels for CPUs with AVX-512; learners/CMakeLists.txt gives this file its compiler options.
#if defined(__x86_64__)
#define FRESHET_KERNELS kAvx512Kernels
#define FRESHET_KERNELS_NAME "avx512"
#define FRESHET_VECTOR_FLOATS 16
#define FRESHET_ROWS_4 6
#define FRESHET_ROWS_2 8
#define FRESHET_ROWS_1 8
#include "learners/models/kernels_body.h"
#endif
