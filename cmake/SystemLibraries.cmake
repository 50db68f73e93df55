# Imported targets over the distribution's libraries. Each is looked for only by the room that links it, so that one
# room can be built on a machine that lacks the others' libraries. Plain find_library instead of the packages' own
# CMake files: those drag in the development files of libraries that we never link (gflags, civetweb, curl, ...).
find_package(Threads REQUIRED)

# freshet_system_library(TARGET header [library...]): header-only when no library is named.
function(freshet_system_library target header)
  if(TARGET ${target})
    return()
  endif()
  string(MAKE_C_IDENTIFIER ${target} id)
  find_path(${id}_INCLUDE_DIR ${header})
  if(NOT ${id}_INCLUDE_DIR)
    message(FATAL_ERROR "<${header}> is not installed; `./dev setup` installs it")
  endif()
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} SYSTEM INTERFACE ${${id}_INCLUDE_DIR})
  foreach(library ${ARGN})
    find_library(${id}_${library}_LIBRARY ${library})
    if(NOT ${id}_${library}_LIBRARY)
      message(FATAL_ERROR "lib${library} is not installed; `./dev setup` installs it")
    endif()
    target_link_libraries(${target} INTERFACE ${${id}_${library}_LIBRARY})
  endforeach()
endfunction()
