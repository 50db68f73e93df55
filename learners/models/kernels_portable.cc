// The kernels for any CPU.
#define FRESHET_KERNELS kPortableKernels
#define FRESHET_KERNELS_NAME "portable"
#define FRESHET_VECTOR_FLOATS 4
#define FRESHET_ROWS_4 3
#define FRESHET_ROWS_2 4
#define FRESHET_ROWS_1 6
#include "learners/models/kernels_body.h"
