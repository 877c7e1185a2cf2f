# For CMake projects that build shims as part of their own build:
#
#   execute_process(COMMAND wc-gen --cmake-dir OUTPUT_VARIABLE wc_intercept_DIR OUTPUT_STRIP_TRAILING_WHITESPACE)
#   find_package(wc_intercept REQUIRED)
#   wc_add_shim(my_hooks CONFIG hooks.json)
#
# wc_add_shim(NAME CONFIG file.json [OUTPUT file.so] [DEPENDS ...])
#   adds the target NAME, built by default, that runs wc-gen whenever the config, or a file of DEPENDS, is newer than the
#   shim. The shim is NAME.so in the current binary folder, unless OUTPUT says otherwise; the target's property
#   WC_SHIM holds its path. wc-gen compiles with the C compiler of the project.
#
# Absent on purpose: anything that decides what is wrapped. That is the config.

find_program(WC_GEN_EXECUTABLE wc-gen HINTS "${CMAKE_CURRENT_LIST_DIR}/../../../../../../bin")
if(NOT WC_GEN_EXECUTABLE)
  set(wc_intercept_FOUND FALSE)
  set(wc_intercept_NOT_FOUND_MESSAGE "wc-gen is not on PATH: pip install wc-intercept, or set WC_GEN_EXECUTABLE")
  return()
endif()

function(wc_add_shim name)
  cmake_parse_arguments(arg "" "CONFIG;OUTPUT" "DEPENDS" ${ARGN})
  if(NOT arg_CONFIG)
    message(FATAL_ERROR "wc_add_shim(${name}): CONFIG file.json is missing")
  endif()
  get_filename_component(config "${arg_CONFIG}" ABSOLUTE)
  if(NOT arg_OUTPUT)
    set(arg_OUTPUT "${name}.so")
  endif()
  get_filename_component(output "${arg_OUTPUT}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_BINARY_DIR}")
  set(environment "")
  if(CMAKE_C_COMPILER)
    set(environment "${CMAKE_COMMAND}" -E env "CC=${CMAKE_C_COMPILER}")
  endif()
  add_custom_command(
    OUTPUT "${output}"
    COMMAND ${environment} "${WC_GEN_EXECUTABLE}" "${config}" -o "${output}"
    DEPENDS "${config}" ${arg_DEPENDS}
    COMMENT "Generating shim ${name}"
    VERBATIM)
  add_custom_target(${name} ALL DEPENDS "${output}")
  set_target_properties(${name} PROPERTIES WC_SHIM "${output}")
endfunction()
