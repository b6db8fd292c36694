from pickroom.cli import main

main()
