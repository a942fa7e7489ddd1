# What the scripts beside this one have in common.

# Runs a command that must succeed.
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# The same; sets `result` to what it writes to its standard output.
function(ask result)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY
                  OUTPUT_VARIABLE output OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(${result} "${output}" PARENT_SCOPE)
endfunction()

# Sets `result` to a program that must not be missing, unless the test is to be skipped: those who miss it are told.
macro(need result name)
  find_program(${result} ${name})
  if(NOT ${result})
    message("Skipped: ${name} is not installed.")
    return()
  endif()
endmacro()
