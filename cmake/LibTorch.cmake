# LibTorch from the PyPI wheel that `./dev setup` unpacks, as target freshet::libtorch. The wheel's own
# find_package(Torch) wants a CUDA toolkit; the CPU side needs none, only the two small CUDA run-time libraries that
# libtorch_cpu.so names.
set(FRESHET_LIBTORCH_VERSION 2.11.0)
set(FRESHET_LIBTORCH ${FRESHET_CACHE_DIR}/libtorch-${FRESHET_LIBTORCH_VERSION} CACHE PATH
    "Folder that holds torch/ and nvidia/, as unpacked from the wheels")

set(torch_dir ${FRESHET_LIBTORCH}/torch)
set(cuda_libs ${FRESHET_LIBTORCH}/nvidia/cu13/lib)
if(NOT EXISTS ${torch_dir}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "no LibTorch in ${FRESHET_LIBTORCH}; run `./dev setup` or pass -DFRESHET_LIBTORCH=FOLDER")
endif()

foreach(library c10 torch_cpu)
  add_library(freshet::${library} SHARED IMPORTED GLOBAL)
  set_target_properties(freshet::${library} PROPERTIES IMPORTED_LOCATION ${torch_dir}/lib/lib${library}.so)
endforeach()
add_library(freshet::libtorch INTERFACE IMPORTED GLOBAL)
target_link_libraries(freshet::libtorch INTERFACE freshet::torch_cpu freshet::c10 Threads::Threads)
# -idirafter, not -isystem: the wheel carries a newer fmt of its own, and the distribution's fmt must win everywhere.
target_compile_options(freshet::libtorch INTERFACE
  "SHELL:-idirafter ${torch_dir}/include/torch/csrc/api/include" "SHELL:-idirafter ${torch_dir}/include")
target_compile_definitions(freshet::libtorch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
target_link_options(freshet::libtorch INTERFACE LINKER:-rpath-link,${cuda_libs}:${torch_dir}/lib)

# freshet_torch_pch(TARGET): gives the sources of TARGET that include <torch/torch.h> one precompiled copy of it, shared by
# the targets of a build folder. Making it takes 41 s and saves 10 s a source, so a target with few such sources does
# without. The sources are looked at when CMake runs: a stale answer costs time, never correctness.
set(FRESHET_PCH_SOURCES_MIN 5)
function(freshet_torch_pch target)
  set(heavy 0)
  get_target_property(sources ${target} SOURCES)
  foreach(source ${sources})
    file(STRINGS ${source} include REGEX "^#include <torch/torch\\.h>" LIMIT_COUNT 1)
    if(include)
      math(EXPR heavy "${heavy} + 1")
    else()
      set_source_files_properties(${source} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
    endif()
  endforeach()
  if(NOT FRESHET_PCH OR heavy LESS FRESHET_PCH_SOURCES_MIN)
    return()
  endif()
  target_compile_options(${target} PRIVATE -fpch-preprocess)
  if(NOT TARGET freshet_torch_pch)
    add_library(freshet_torch_pch OBJECT ${PROJECT_SOURCE_DIR}/cmake/torch_pch.cc)
    target_link_libraries(freshet_torch_pch PRIVATE freshet::libtorch)
    target_compile_options(freshet_torch_pch PRIVATE -fpch-preprocess)
    target_precompile_headers(freshet_torch_pch PRIVATE <torch/torch.h>)
  endif()
  target_precompile_headers(${target} REUSE_FROM freshet_torch_pch)
endfunction()
