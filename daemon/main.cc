// The freshet binary. See daemon/cli/command_line.h.
#include "daemon/cli/command_line.h"
#include "learners/device.h"

int main(int argc, char** argv) {
  // First of all: LibTorch remembers that there is no GPU from the first question about it.
  freshet::load_cuda_backend();
  return freshet::run_command_line(argc, argv);
}
