# Configures, builds and runs one consumer project; installs tandem for it first where it wants that.

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${work})
cmake_path(GET consumer FILENAME kind)
set(arguments "-DTANDEM_SOURCE=${tandem_source}" -DTANDEM_PRECOMPILE_HEADERS=ON)
if(kind STREQUAL "find_package")
  run(${CMAKE_COMMAND} --install ${tandem_build} --prefix ${work}/prefix)
  set(arguments -DCMAKE_PREFIX_PATH=${work}/prefix -DCMAKE_FIND_PACKAGE_PREFER_CONFIG=ON)
endif()
run(${CMAKE_COMMAND} -S ${consumer} -B ${work}/build -G ${generator}
    -DCMAKE_CXX_COMPILER=${compiler} -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0 ${arguments})
run(${CMAKE_COMMAND} --build ${work}/build --parallel 2)
run(${work}/build/consumer)
