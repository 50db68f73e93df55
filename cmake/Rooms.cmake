# A room is one folder and one static library. Files are found by globbing: adding a file needs no edit here.
file(WRITE ${PROJECT_BINARY_DIR}/empty.cc "// stands in for a room that has no source file yet\n")

# freshet_room(TARGET [EXCLUDE regex]): a library of all .cc files below the current folder.
function(freshet_room target)
  cmake_parse_arguments(arg "" "EXCLUDE" "" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  if(arg_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX ${arg_EXCLUDE})
  endif()
  if(NOT sources)
    set(sources ${PROJECT_BINARY_DIR}/empty.cc)
  endif()
  add_library(${target} STATIC ${sources})
endfunction()

# freshet_test(NAME LIBRARY...): one GoogleTest executable NAME_tests from tests/NAME/**/*_test.cc, labelled NAME.
# Does nothing while a listed library's room is left out or the folder has no test.
function(freshet_test name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  if(NOT tests)
    return()
  endif()
  foreach(library ${ARGN})
    if(NOT TARGET ${library})
      return()
    endif()
  endforeach()
  set(target ${name}_tests)
  set(timeout 300)
  if(name STREQUAL slow)
    set(timeout 3600)
  endif()
  add_executable(${target} ${sources})
  target_link_libraries(${target} PRIVATE test_support ${ARGN} GTest::gtest GTest::gtest_main)
  if(NOT "freshet::libtorch" IN_LIST ARGN)
    # Names that a test gives itself, not parameters as GoogleTest prints them: those can hold addresses.
    gtest_discover_tests(${target} TEST_PREFIX ${name}. DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120 NO_PRETTY_VALUES
      PROPERTIES LABELS ${name} TIMEOUT ${timeout})
    return()
  endif()
  # Each process loads LibTorch first, which takes 3 s under a sanitizer: a few processes, not one a test.
  set(parts 8)
  math(EXPR last "${parts} - 1")
  foreach(part RANGE ${last})
    add_test(NAME ${name}.part_${part} COMMAND ${target} --gtest_filter=-*/Gpu.*:Gpu.* --gtest_brief=1)
    set_tests_properties(${name}.part_${part} PROPERTIES LABELS ${name} TIMEOUT 900
      ENVIRONMENT "GTEST_TOTAL_SHARDS=${parts};GTEST_SHARD_INDEX=${part}")
  endforeach()
  add_test(NAME ${name}.gpu COMMAND ${target} --gtest_filter=*/Gpu.*:Gpu.*)
  set_tests_properties(${name}.gpu PROPERTIES LABELS ${name} TIMEOUT 900 SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
endfunction()
