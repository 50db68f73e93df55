# freshet_embed(TARGET NAME NAMESPACE [CONSTANT FILE]...): each file becomes part of TARGET, as a
# `extern const std::string_view CONSTANT` in NAMESPACE. Declare them in a header of your own:
#
#   namespace freshet::status_page { extern const std::string_view kHtml; }
#
# A changed file is embedded anew by the next build. This file is also the script that does it, one file at a time:
#   cmake -DINPUT=FILE -DOUTPUT=SOURCE.cc -DNAMESPACE=N -DCONSTANT=C -P embed_file.cmake
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ ${INPUT} bytes HEX)
  # Every byte escaped: no character can then end the literal or join the escape before it.
  string(REGEX REPLACE "(..)" "\\\\x\\1" literal "${bytes}")
  file(WRITE ${OUTPUT} "// Made of ${INPUT} by cmake/embed_file.cmake.
#include <string_view>

namespace ${NAMESPACE} {

extern const std::string_view ${CONSTANT};

namespace {
const char k_bytes[] = \"${literal}\";
}  // namespace

constinit const std::string_view ${CONSTANT}(k_bytes, sizeof k_bytes - 1);

}  // namespace ${NAMESPACE}
")
  return()
endif()

set(FRESHET_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(freshet_embed target name namespace)
  set(arguments ${ARGN})
  while(arguments)
    list(POP_FRONT arguments constant file)
    cmake_path(ABSOLUTE_PATH file)
    set(output ${CMAKE_CURRENT_BINARY_DIR}/embedded/${name}/${constant}.cc)
    add_custom_command(OUTPUT ${output}
      COMMAND ${CMAKE_COMMAND} -DINPUT=${file} -DOUTPUT=${output} -DNAMESPACE=${namespace} -DCONSTANT=${constant}
        -P ${FRESHET_EMBED_SCRIPT}
      DEPENDS ${file} ${FRESHET_EMBED_SCRIPT}
      COMMENT "Embed ${file}"
      VERBATIM)
    target_sources(${target} PRIVATE ${output})
  endwhile()
endfunction()
