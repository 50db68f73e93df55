# How every file is compiled: language, warnings, sanitizers, compiler cache. Optimisation levels are in CMakePresets.json.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)

add_compile_options(-Wall -Wextra -Wshadow -Wnon-virtual-dtor)
add_compile_options(-Wno-missing-field-initializers)  # designated initialisers leave members at their defaults
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  add_compile_options(-Wno-restrict)  # gcc 12 sees an overlap in std::string::insert that is none (PR 105651)
endif()
if(FRESHET_WERROR)
  add_compile_options(-Werror)
endif()
# The same object whatever folder the clone lies in: __FILE__ and debug information name files from the repository root.
add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.)
include_directories(${PROJECT_SOURCE_DIR})

if(FRESHET_SANITIZE)
  add_compile_options(-fsanitize=${FRESHET_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FRESHET_SANITIZE})
  add_compile_options(-Wno-maybe-uninitialized)  # wrong too often in instrumented code
  add_compile_definitions(FRESHET_SANITIZED=1)
endif()

# ccache, set up so that clones and worktrees share one cache: paths below the clone count as relative.
# pch_defines and time_macros are what ccache asks for before it caches users of a precompiled header.
find_program(FRESHET_CCACHE_PROGRAM ccache)
if(FRESHET_CCACHE AND FRESHET_CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(launcher env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1
      CCACHE_SLOPPINESS=pch_defines,time_macros ${FRESHET_CCACHE_PROGRAM})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

# Where `./dev setup` keeps what it downloads, for all clones of this user.
if(DEFINED ENV{FRESHET_CACHE})
  set(FRESHET_CACHE_DIR $ENV{FRESHET_CACHE})
else()
  set(FRESHET_CACHE_DIR $ENV{HOME}/.cache/freshet)
endif()
